use super::*;

fn shown(text: &str) -> String {
    name(text, 80)
}

/// What a mail program may see once it has dropped what is invisible and taken every dot for a dot.
fn read_by_a_mail_program(text: &str) -> String {
    let plain = |c: char| match c {
        c if is_dot(c) => '.',
        c if is_at(c) => '@',
        c if is_colon(c) => ':',
        c if is_slash(c) => '/',
        c => c,
    };
    text.chars().filter(|c| !is_attached(*c)).map(plain).collect::<String>().to_lowercase()
}

/// As eager as the most eager of them: a word is a link with a scheme, `www.`, an `@` inside, or a dot before two letters
/// or what only the ASCII form of a domain begins with.
fn a_link_in(text: &str) -> Option<String> {
    let read = read_by_a_mail_program(text);
    let is_link = |word: &&str| {
        let colon = word.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty() && scheme.chars().next_back().is_some_and(char::is_alphabetic)
        });
        let dotted = word.match_indices('.').any(|(at, _)| {
            let top: Vec<char> = word[at + 1..].chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
            at > 0 && top.len() > 1 && !top.iter().all(|c| c.is_numeric())
        });
        let starts = ["www.", "ftp."].iter().any(|start| word.find(start).is_some_and(|at| at + 4 < word.len()));
        let at = word.find('@').is_some_and(|at| at + 1 < word.len());
        colon || dotted || starts || at || word.contains("//")
    };
    read.split_whitespace().find(is_link).map(str::to_owned)
}

#[test]
fn nothing_in_a_name_is_a_link() {
    for text in [
        "Win: https:\u{200b}//evil.\u{200b}example/a?b=1",
        "Gym evil.\u{ad}example",
        "Gym https://evil.example",
        "www.1evil.\u{200d}com",
        "www.1.2",
        "WWW.5",
        "www2.9",
        "ftp.x",
        "HTTP://EVIL.EXAMPLE",
        "ftp://evil.example/x",
        "ht\u{2060}tps://evil\u{3002}example",
        "evil\u{ff0e}com evil\u{ff61}com evil\u{2024}com evil\u{fe52}com",
        "https\u{ff1a}\u{ff0f}\u{ff0f}evil.com",
        "evil.xn--p1ai",
        "xn--bcher-kva.example",
        "пример.рф 例え。テスト",
        "my-evil.co.uk/path?x=1#y",
        "a.b.com",
        "J.evil.com",
        "1evil.com 1.2.com 3.com",
        "mailto:a@evil.example",
        "mail me: a@evil.example, a\u{ff20}evil\u{ff0e}com",
        "@evil.example",
        "tel:+19005550199",
        "tel:5550",
        "javascript:alert(1)",
        "sms:12345 skype:evil whatsapp:x bitcoin:abc data:text",
        "\\\\evil\\share file:///etc",
        "//evil.example",
        "evil.e\u{301}xample e\u{301}vil.com",
        "evil.\u{301}com",
        "evil.\u{fe0f}com",
        "evil.\u{e0063}com",
        "evil\u{200c}.\u{200c}com",
        "क\u{94d}\u{200d}.com",
        "💪.ws 👩\u{200d}👩.fm",
        "evil..com",
        "(evil.com) \"evil.com\" <evil.com>",
        "evil.\ncom evil.\u{2028}com",
        "evil.co\u{34f}m evil.\u{3164}com",
    ] {
        let shown = shown(text);
        assert_eq!(a_link_in(&shown), None, "{} became {shown}", text.escape_unicode());
        // Whoever makes it harmless twice, or cleans it as a subject, finds nothing left to take out.
        assert_eq!(name(&shown, 200), shown);
        assert_eq!(line(&shown, 200), shown);
    }
}

#[test]
fn the_reader_of_these_tests_knows_a_link() {
    for text in ["evil.example", "https://x", "tel:5", "a@b", "www.1", "evil\u{3002}com", "e.co", "x //y"] {
        assert!(a_link_in(text).is_some(), "{text}");
    }
    assert_eq!(a_link_in("J.R. Ewing, Dr. No 2.0 at 6:30"), None);
}

#[test]
fn four_numbers_with_dots_are_no_machine_any_more() {
    assert_eq!(shown("Gym 1.2.3.4"), "Gym 1.2. 3. 4");
}

#[test]
fn names_keep_the_letters_they_need() {
    for text in [
        "باشگاه می\u{200c}رود",
        "نیم\u{200c}فاصله",
        "👩\u{200d}👩\u{200d}👧 Gym",
        "👩🏽\u{200d}🚒 ❤\u{fe0f}\u{200d}🔥",
        "क\u{94d}\u{200d}ष जिम",
        "അവന\u{d4d}\u{200d} ക",
        "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f} Gym 1\u{fe0f}\u{20e3}",
        "J.R.R. Fit",
        "J.R. Ewing",
        "O'Brien & \"Sons\" <3",
        "Zoë d'Arc",
        "Dr. No 2.0",
        "Studio v2.0",
        "St. Mary's",
        "TSV e.V.",
        "Ph.D. S.p.A.",
        "Open 24/7, from 6:30",
        "Studio 1984",
        "Area 51, Block 12",
        ".NET Runners",
        "AC/DC",
        "محمد",
        "モーニング娘。'14",
        "Fitness…",
    ] {
        assert_eq!(shown(text), text);
    }
}

#[test]
fn what_is_hidden_or_turns_the_text_goes_and_letters_are_composed() {
    for (text, kept) in [
        ("Ac\u{202e}me\u{200b}\u{feff} Gym", "Acme Gym"),
        ("Ac\u{200d}me", "Acme"),
        ("A\r\nB\u{2028}C\u{85}D", "A B C D"),
        ("Zoe\u{308}", "Zoë"),
        ("Zoe\u{200b}\u{308}", "Zoë"),
        ("Ann \u{e0041}\u{e0042}", "Ann"),
        ("St.Mary's", "St. Mary's"),
        ("Gym:Berlin", "Gym: Berlin"),
        ("evil.example", "evil. example"),
    ] {
        assert_eq!(shown(text), kept, "{}", text.escape_unicode());
    }
}

#[test]
fn a_name_carries_no_number_to_call() {
    for (text, kept) in [
        ("call +1 900 555 0199 now", "call ••• now"),
        ("Prize! (0900) 555-01.99", "Prize! (•••"),
        ("０９００ ５５５ ０１９９", "•••"),
        ("+1 900", "•••"),
        ("call 1\u{200b}900\u{2060}555\u{ad}0199", "call •••"),
        (
            "1\u{fe0f}\u{20e3}9\u{fe0f}\u{20e3}0\u{fe0f}\u{20e3}0\u{fe0f}\u{20e3}5\u{fe0f}\u{20e3} gym",
            "•••\u{fe0f}\u{20e3} gym",
        ),
        ("Gym 1 2 3 4", "Gym 1 2 3 4"),
    ] {
        assert_eq!(shown(text), kept, "{}", text.escape_unicode());
    }
}

#[test]
fn a_long_name_is_cut_before_its_links_are_broken() {
    assert_eq!(shown(&"é".repeat(500)).chars().count(), 80);
    let text = format!("{}.example", "a".repeat(76));
    assert_eq!(shown(&text), format!("{}. ex…", "a".repeat(76)));
}
