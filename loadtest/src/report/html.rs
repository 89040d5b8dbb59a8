//! The report as a page of its own: the Markdown that the report uses, and charts in their places. No script, nothing
//! from elsewhere, light or dark as the reader has it.

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --ground: #ffffff; --edge: #dfe3e8; --ours: #1f6feb;
        --other: #9aa4b2; --code: #f3f5f8 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --soft: #9aa4b2; --ground: #14181f; --edge: #2c333d; --ours: #58a0ff; --other: #5d6875; --code: #1d232c }
}
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; font: 16px/1.55 system-ui, sans-serif; color: var(--ink);
       background: var(--ground) }
h1 { font-size: 1.7rem; line-height: 1.2 } h2 { font-size: 1.25rem; margin-top: 2.5rem } h3 { font-size: 1.05rem }
p, li { overflow-wrap: break-word }
.scroll { overflow-x: auto } .picture svg { display: block; width: 100%; min-width: 60rem; height: auto } table { border-collapse: collapse; font-size: .9rem; width: 100% }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--edge); text-align: right; vertical-align: top }
th:first-child, td:first-child { text-align: left; padding-left: 0; min-width: 9rem } th { color: var(--soft); font-weight: 600 }
td:not(:first-child) { white-space: nowrap }
code, pre { font: .85em ui-monospace, monospace; background: var(--code); border-radius: 4px } code { padding: .1em .3em }
pre { padding: .8rem; overflow-x: auto } pre code { padding: 0 }
figure { margin: 1.5rem 0 } figcaption { font-weight: 600; margin-bottom: .5rem }
.bars { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr max-content; gap: .35rem .7rem; align-items: center;
        font-size: .9rem }
.bars svg { width: 100%; height: 1.1rem } .value { font-variant-numeric: tabular-nums; text-align: right }
rect.ours { fill: var(--ours) } rect.other { fill: var(--other) }
.legend { font-size: .9rem } .legend i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .25rem 0 .7rem }
i.ours { background: var(--ours) } i.other { background: var(--other) }
.line { display: grid; grid-template: auto 11rem auto auto / auto 1fr auto; gap: 0 .5rem; font-size: .85rem; color: var(--soft) }
.line svg { grid-area: 1 / 2 / 4 / 4; width: 100%; height: 100% } .top { grid-area: 1 / 1 } .zero { grid-area: 3 / 1 }
.from { grid-area: 4 / 2 } .to { grid-area: 4 / 3 }
.line path, .line polyline { fill: none; vector-effect: non-scaling-stroke } .grid { stroke: var(--edge) }
polyline.ours { stroke: var(--ours); stroke-width: 2 }
@media (max-width: 34rem) { .bars { grid-template-columns: 1fr max-content } .bars .label { grid-column: 1 / -1; margin-bottom: -.3rem } }
";

/// The page. `chart` answers what stands in a chart's place.
pub(super) fn page(markdown: &str, chart: impl Fn(&str) -> Option<String>) -> String {
    let body = body(markdown, &chart);
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width, \
         initial-scale=1'><title>How fast it is</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
}

/// What Markdown means, as far as the report and the profile use it: headings, paragraphs, lists, tables, blocks of code.
fn body(markdown: &str, chart: &impl Fn(&str) -> Option<String>) -> String {
    let mut html = String::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("<!-- chart ").and_then(|rest| rest.strip_suffix(" -->")) {
            html += &chart(name).unwrap_or_default();
        } else if line.starts_with("```") {
            let code: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            html += &format!("<pre><code>{}</code></pre>\n", escape(&code.join("\n")));
        } else if let Some((hashes, text)) = line.split_once(' ').filter(|(hashes, _)| is_heading(hashes)) {
            html += &format!("<h{0}>{1}</h{0}>\n", hashes.len(), inline(text));
        } else if line.starts_with('|') {
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|next| next.starts_with('|')) {
                rows.push(row);
            }
            html += &table(&rows);
        } else if let Some(item) = line.strip_prefix("- ") {
            let mut items = vec![item.to_owned()];
            while let Some(next) = lines.next_if(|next| next.starts_with("- ") || next.starts_with("  ")) {
                match (next.strip_prefix("- "), items.last_mut()) {
                    (None, Some(last)) => *last += &format!(" {}", next.trim()),
                    (item, _) => items.push(item.unwrap_or(next).to_owned()),
                }
            }
            html += &format!(
                "<ul>{}</ul>\n",
                items.iter().map(|item| format!("<li>{}</li>", inline(item))).collect::<String>()
            );
        } else if !line.is_empty() {
            let mut text = line.to_owned();
            while let Some(next) = lines.next_if(|next| !next.is_empty() && !starts_a_block(next)) {
                text += &format!(" {next}");
            }
            html += &format!("<p>{}</p>\n", inline(&text));
        }
    }
    html
}

fn is_heading(hashes: &str) -> bool {
    (1..=4).contains(&hashes.len()) && hashes.chars().all(|c| c == '#')
}

fn starts_a_block(line: &str) -> bool {
    line.starts_with(['|', '#']) || ["```", "- ", "<!-- chart "].iter().any(|start| line.starts_with(start))
}

fn table(rows: &[&str]) -> String {
    let cells = |row: &str, tag: &str| {
        let row = row.trim().trim_start_matches('|').trim_end_matches('|');
        row.split('|').map(|cell| format!("<{tag}>{}</{tag}>", inline(cell.trim()))).collect::<String>()
    };
    let mut html = String::from("<div class=scroll><table>");
    for (n, row) in rows.iter().enumerate().filter(|(n, _)| *n != 1) {
        html += &format!("<tr>{}</tr>", cells(row, if n == 0 { "th" } else { "td" }));
    }
    html + "</table></div>\n"
}

/// `code`, **strong**, *emphasis* and [links](…), in text that is escaped.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (n, part) in text.split('`').enumerate() {
        let part = escape(part);
        html += &if n % 2 == 1 {
            format!("<code>{part}</code>")
        } else {
            links(&paired(&paired(&part, "**", "strong"), "*", "em"))
        };
    }
    html
}

/// Puts a tag around what stands between two marks; a mark without its partner stays.
fn paired(text: &str, mark: &str, tag: &str) -> String {
    let parts: Vec<&str> = text.split(mark).collect();
    let last = parts.len() - 1;
    let mut html = String::new();
    for (n, part) in parts.iter().enumerate() {
        html += &match n % 2 {
            0 => (*part).to_owned(),
            _ if n == last => format!("{mark}{part}"),
            _ => format!("<{tag}>{part}</{tag}>"),
        };
    }
    html
}

fn links(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, (words, (url, after)))) = rest.split_once('[').and_then(|(before, tail)| {
        Some((before, tail.split_once("](").and_then(|(words, tail)| Some((words, tail.split_once(')')?)))?))
    }) {
        html += &format!("{before}<a href=\"{url}\">{words}</a>");
        rest = after;
    }
    html + rest
}

/// An SVG file as a part of the page.
pub(super) fn picture(title: &str, svg: &str) -> String {
    // Without what stands before the picture in a file of its own.
    let svg = svg.find("<svg").map_or(svg, |from| &svg[from..]);
    format!("<figure><figcaption>{}</figcaption><div class='scroll picture'>{svg}</div></figure>\n", escape(title))
}

/// Text that HTML takes as text.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html_and_charts_take_their_places() {
        let markdown = "## A *b*\n\none\ntwo `<x>`\n\n<!-- chart c -->\n\n| a | b |\n| --- | ---: |\n| 1 | **2** |\n\n- x\n  y\n- [z](#z)\n";
        let html = body(markdown, &|name| (name == "c").then(|| "CHART".to_owned()));
        assert_eq!(
            html,
            "<h2>A <em>b</em></h2>\n<p>one two <code>&lt;x&gt;</code></p>\nCHART<div class=scroll><table><tr><th>a</th>\
             <th>b</th></tr><tr><td>1</td><td><strong>2</strong></td></tr></table></div>\n\
             <ul><li>x y</li><li><a href=\"#z\">z</a></li></ul>\n"
        );
    }

    #[test]
    fn a_picture_is_scrolled_where_it_does_not_fit() {
        let html = picture("<x>", "<?xml version='1.0'?><svg viewBox='0 0 1200 9'></svg>");
        assert!(html.contains("<div class='scroll picture'><svg") && html.contains("&lt;x&gt;"), "{html}");
        assert!(STYLE.contains(".picture svg {") && STYLE.contains("min-width: 60rem"));
    }

    #[test]
    fn figures_can_smuggle_no_markup_in() {
        assert_eq!(inline("<script>"), "&lt;script&gt;");
        assert_eq!(paired("2 * 3", "*", "em"), "2 * 3");
    }
}
