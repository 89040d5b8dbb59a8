//! What people type and others read: names that show nothing, lines that are two, links in a name, one title in two
//! Unicode forms.

use serde_json::{Value, json};

use crate::support::{Answer, TestApp, video::MP4};

const PASSWORD: &str = "a test's password";
const VIDEOS: &str = "/api/v1/videos";
const LIBRARY: &str = "/api/v1/admin/library/videos";

/// A text as the value of a query parameter.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The text in each place where a line of text is typed, with the place's name in a refusal.
async fn typed_everywhere(app: &TestApp, text: &str) -> Vec<(&'static str, Answer)> {
    let (anyone, owner, coach) = (app.anonymous(), app.acme().owner(), app.acme().coach());
    let operator = app.operator();
    let registration = |field: &str| {
        let mut body = json!({"email": app.fresh_email("typed"), "password": PASSWORD, "full_name": "Ann"});
        body[field] = text.into();
        body
    };
    let announced = json!({"title": text, "content_type": "video/mp4", "size_bytes": MP4.len()});
    let ours = coach.post(VIDEOS, &json!({"title": "Ours", "content_type": "video/mp4", "size_bytes": 1})).await;
    let shared = operator.post(LIBRARY, &json!({"title": "All", "content_type": "video/mp4", "size_bytes": 1})).await;
    let (ours, shared) = (ours.assert(201), shared.assert(201));
    let tenant = format!("/api/v1/admin/tenants/{}", app.globex().tenant_id());
    let accepted = json!({"token": "none", "password": PASSWORD, "full_name": text});
    let (reason, title) = (encoded(text), json!({"title": text}));
    vec![
        ("/full_name", owner.patch("/api/v1/me", &json!({"full_name": text})).await),
        ("/name", owner.patch("/api/v1/tenant", &json!({"name": text})).await),
        ("/full_name", anyone.post("/api/v1/auth/register", &registration("full_name")).await),
        ("/business_name", anyone.post("/api/v1/auth/register", &registration("business_name")).await),
        ("/full_name", anyone.post("/api/v1/auth/accept-invitation", &accepted).await),
        ("/title", coach.post(VIDEOS, &announced).await),
        ("/title", coach.patch(&format!("{VIDEOS}/{}", ours.id()), &title).await),
        ("/title", operator.post(LIBRARY, &announced).await),
        ("/title", operator.patch(&format!("{LIBRARY}/{}", shared.id()), &title).await),
        ("/reason", operator.put(&format!("{tenant}/suspension"), &json!({"reason": text})).await),
        ("?reason", operator.get(&format!("{tenant}?reason={reason}")).await),
        ("?reason", operator.get(&format!("{tenant}/members?reason={reason}")).await),
    ]
}

#[tokio::test]
async fn a_text_that_shows_nothing_is_refused_wherever_a_line_is_typed() {
    let app = TestApp::start().await;
    for text in ["\u{200b}", "\u{3164}\u{a0}", "\u{2800}", "\u{301}", "\u{e0041}\u{fe0f}"] {
        for (place, answer) in typed_everywhere(&app, text).await {
            let answer = answer.assert_problem(422, "invalid-request").assert_names(place);
            assert!(!answer.text.contains(text), "{}", answer.text);
        }
    }
    let me = app.acme().owner();
    for text in [
        "",
        " ",
        "\u{200d}\u{200d}",
        "\u{2060}",
        "\u{ad}",
        "\u{200f}",
        "\u{200e}",
        "\u{61c}",
        "\u{180e}",
        "\u{34f}",
        "\u{115f}",
        "\u{ffa0}",
        "\u{17b4}",
        "\u{feff}",
        "\u{fffc}",
        "\u{2003}",
        " \u{200b} ",
        "\u{20dd}",
        "\u{e0101}",
        "\u{1d173}",
        "\u{85}",
    ] {
        let answer = me.patch("/api/v1/me", &json!({"full_name": text})).await;
        answer.assert_problem(422, "invalid-request").assert_names("/full_name");
    }
    // Nor is there anything to search for.
    for q in ["\u{200b}", "\u{3164}\u{a0}", "\u{2028}", "\u{fe0f}"].map(encoded) {
        app.acme().coach().get(&format!("{VIDEOS}?q={q}")).await.assert(422).assert_names("?q");
        app.operator().get(&format!("{LIBRARY}?q={q}")).await.assert(422).assert_names("?q");
        app.operator().get(&format!("/api/v1/admin/tenants?q={q}")).await.assert(422).assert_names("?q");
    }
    assert_ne!(app.globex().owner().get("/api/v1/tenant").await.assert(200).body["name"], "");
}

#[tokio::test]
async fn line_and_paragraph_separators_are_line_ends() {
    let app = TestApp::start().await;
    for end in ["\u{2028}", "\u{2029}"] {
        for (place, answer) in typed_everywhere(&app, &format!("Ann{end}Lee")).await {
            answer.assert_problem(422, "invalid-request").assert_names(place);
        }
    }
    for end in ["\n", "\r\n", "\u{85}", "\u{b}", "\u{c}"] {
        let name = json!({"name": format!("Plain{end}Gym")});
        app.acme().owner().patch("/api/v1/tenant", &name).await.assert(422).assert_names("/name");
    }
    // A description has lines.
    let described =
        json!({"title": "Lines", "description": "one\ntwo\u{2028}three", "content_type": "video/mp4", "size_bytes": 1});
    let made = app.acme().coach().post(VIDEOS, &described).await.assert(201);
    assert_eq!(made.body["description"], described["description"]);
}

#[tokio::test]
async fn names_of_any_script_stay_as_they_were_typed_but_for_their_ends() {
    let app = TestApp::start().await;
    let (owner, coach) = (app.acme().owner(), app.acme().coach());
    for name in
        ["Ø", "山", "👩\u{200d}👩\u{200d}👧", "می\u{200c}رود", "O’Brien d'Arc", "محمد", "Z\u{301}oe", "❤\u{fe0f}"]
    {
        let shown = owner.patch("/api/v1/me", &json!({"full_name": format!("\u{200b} {name}\u{a0}\u{200b}\n")})).await;
        assert_eq!(shown.assert(200).body["full_name"], name);
        let shown = owner.patch("/api/v1/tenant", &json!({"name": format!("\u{2060}{name}\u{2028}")})).await;
        assert_eq!(shown.assert(200).body["name"], name);
    }
    let typed = json!({"title": "\u{2060}Squat\u{200b} ", "content_type": "video/mp4", "size_bytes": 1});
    assert_eq!(coach.post(VIDEOS, &typed).await.assert(201).body["title"], "Squat");
    let suspension = format!("/api/v1/admin/tenants/{}/suspension", app.globex().tenant_id());
    let shown = app.operator().put(&suspension, &json!({"reason": "\u{a0}Unpaid\u{200b}"})).await.assert(200);
    assert_eq!(shown.body["suspended_reason"], "Unpaid");
}

/// The newest mail to an address.
async fn newest_mail(app: &TestApp, email: &str) -> Value {
    serde_json::from_str(app.mails_to(email).await.last().expect("a mail was sent")).unwrap()
}

/// Invites somebody into acme, which is called so, in the name of its owner, who is.
async fn invited_by(app: &TestApp, business: &str, person: &str) -> Value {
    let owner = app.acme().owner();
    owner.patch("/api/v1/tenant", &json!({"name": business})).await.assert(200);
    owner.patch("/api/v1/me", &json!({"full_name": person})).await.assert(200);
    let email = app.fresh_email("read");
    owner.post("/api/v1/invitations", &json!({"email": email, "role": "athlete"})).await.assert(201);
    app.run_jobs().await;
    newest_mail(app, &email).await
}

#[tokio::test]
async fn a_name_is_no_link_in_a_mail() {
    let app = TestApp::start().await;
    for (business, person, links) in [
        (
            "Win: https:\u{200b}//evil.\u{200b}example/a?b=1",
            "www.1evil.\u{200d}com",
            ["https://evil", "evil.example", "www.1evil"],
        ),
        ("Gym evil.\u{ad}example", "evil\u{3002}example", ["evil.example", "evil\u{3002}example", "//evil"]),
        ("call +1 900 555 0199", "tel:\u{2060}5550199", ["900", "tel:5550199", "tel:•"]),
        ("mailto:a@evil\u{ff0e}example", "xn--80ak6aa92e.com", ["mailto:a", "@evil", "xn--80ak6aa92e.com"]),
        ("javascript:alert(1)", "\\\\evil\\share", ["javascript:alert", "\\\\evil", "evil\\share\\"]),
    ] {
        let mail = invited_by(&app, business, person).await;
        for part in ["Subject", "BodyText", "BodyHtml"] {
            let text = mail[part].as_str().unwrap();
            let is_hidden =
                |c: char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            assert!(!text.contains(is_hidden), "{text}");
            for link in links {
                assert!(!text.contains(link), "{part} has {link}: {text}");
            }
        }
        // Our own link stands.
        assert!(mail["BodyText"].as_str().unwrap().contains("/accept-invitation?token="), "{mail}");
    }
}

#[tokio::test]
async fn a_mail_shows_names_as_people_write_them() {
    let app = TestApp::start().await;
    for (business, person) in [
        ("باشگاه می\u{200c}رود", "نیم\u{200c}فاصله"),
        ("👩\u{200d}👩\u{200d}👧 Gym", "Dr. No 2.0"),
        ("क\u{94d}\u{200d}ष जिम", "St. Mary's"),
        ("J.R.R. Fit", "J.R. Ewing"),
        ("O'Brien & \"Sons\" <3", "Zoë d'Arc"),
    ] {
        let mail = invited_by(&app, business, person).await;
        let text = mail["BodyText"].as_str().unwrap();
        assert!(text.starts_with(&format!("{person} invites you to join {business} on FFP.")), "{text}");
        let html = mail["BodyHtml"].as_str().unwrap();
        assert!(!html.contains("<3"), "{html}");
    }
}

fn titles(list: &Answer) -> Vec<&str> {
    list.body["items"].as_array().unwrap().iter().map(|video| video["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_search_finds_a_title_in_either_form_and_any_case() {
    let app = TestApp::start().await;
    let (coach, operator) = (app.acme().coach(), app.operator());
    // Composed, decomposed, in capitals; Greek with its final sigma, German, Turkish.
    let all = ["Über Kopf", "U\u{308}ber Bank", "ÜBER ALLES", "ΟΔΟΣ", "οδος", "Straße", "İstanbul", "50% _off"];
    for title in all {
        let made = json!({"title": title, "content_type": "video/mp4", "size_bytes": 1});
        coach.post(VIDEOS, &made).await.assert(201);
        operator.post(LIBRARY, &made).await.assert(201);
    }
    // As an older release writes them.
    app.by_hand(
        "insert into video (tenant_id, id, title, status, content_type, size_bytes, object_key, upload_expires_at) \
         select id, gen_random_uuid(), U&'u\\0308ber alt', 'ready', 'video/mp4', 1, 'k', now() from tenant where name = 'acme'",
    )
    .await;
    for (q, found) in [
        ("über", 4),
        ("u\u{308}BER", 4),
        ("ÜBER b", 1),
        ("οδοσ", 2),
        ("ΟΔΟΣ", 2),
        ("δος", 2),
        ("STRASSE", 1),
        ("straße", 1),
        ("STRAẞE", 1),
        ("istanbul", 1),
        ("İSTANBUL", 1),
        ("% _O", 1),
        ("%b", 0),
        ("uber", 0),
    ] {
        let ours = coach.get(&format!("{VIDEOS}?scope=tenant&q={}", encoded(q))).await.assert(200);
        assert_eq!(titles(&ours).len(), found, "{q}: {:?}", titles(&ours));
        let theirs = app.globex().coach().get(&format!("{VIDEOS}?scope=tenant&q={}", encoded(q))).await.assert(200);
        assert!(titles(&theirs).is_empty());
    }
    let library = operator.get(&format!("{LIBRARY}?q={}", encoded("u\u{308}BER"))).await.assert(200);
    assert_eq!(titles(&library).len(), 3);
    // A title that is changed is found by its new name alone.
    let video = coach.get(&format!("{VIDEOS}?q={}", encoded("straße"))).await.body["items"][0]["id"].clone();
    let path = format!("{VIDEOS}/{}", video.as_str().unwrap());
    coach.patch(&path, &json!({"title": "ALLE\u{301}E"})).await.assert(200);
    assert_eq!(titles(&coach.get(&format!("{VIDEOS}?q={}", encoded("allée"))).await).len(), 1);
    assert!(titles(&coach.get(&format!("{VIDEOS}?q={}", encoded("straße"))).await).is_empty());
}

#[tokio::test]
async fn operators_find_a_business_in_either_form_and_any_case_and_by_a_pasted_id() {
    let app = TestApp::start().await;
    app.acme().owner().patch("/api/v1/tenant", &json!({"name": "Cafe\u{301} Größe"})).await.assert(200);
    for q in ["café", "CAFÉ GRÖSSE", "\u{a0}GRÖßE\u{200b}", &format!("{}\n", app.acme().tenant_id())] {
        let found = app.operator().get(&format!("/api/v1/admin/tenants?q={}", encoded(q))).await.assert(200);
        let ids: Vec<_> = found.body["items"].as_array().unwrap().iter().map(|tenant| tenant["id"].clone()).collect();
        assert_eq!(ids, [app.acme().tenant_id()], "{q}");
    }
}
