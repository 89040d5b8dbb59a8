//! Charts: bars and one line, as HTML with inline SVG that stretches while its labels keep their size, so that they can
//! be read on a phone.

use std::fmt::Write;

use super::{
    figures::{contender, neighbour, of_whom, thousands, title},
    html::escape,
    results::{Memory, Rates, Results, Section, median},
};

/// One bar, of one or several parts.
struct Bar {
    label: String,
    /// Value and kind of each part; kinds have colours.
    parts: Vec<(f64, &'static str)>,
    text: String,
}

impl Bar {
    fn one(label: impl Into<String>, value: f64, kind: &'static str, text: String) -> Self {
        Self { label: label.into(), parts: vec![(value, kind)], text }
    }

    fn whole(&self) -> f64 {
        self.parts.iter().map(|(value, _)| value).sum()
    }
}

/// The chart of this name; nothing where there are no figures.
pub(super) fn chart(name: &str, results: &Results) -> Option<String> {
    match name {
        "rates" => figures(&results.rates).map(rates),
        "costs" => figures(&results.rates).map(costs),
        "latency" => figures(&results.latency).map(|all| {
            let each = all.iter().map(|latency| {
                let bars = [("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99), ("p99.9", latency.p999)];
                let kind = if latency.who == "platform" { "ours" } else { "other" };
                let bars = bars.map(|(label, ms)| Bar::one(label, ms, kind, format!("{ms:.2} ms")));
                bars_titled(&of_whom(&latency.who, &latency.read), bars.into())
            });
            each.collect()
        }),
        "scaling" => figures(&results.scaling).map(|scaling| {
            let each = scaling.reads.iter().map(|scaled| {
                let bar = |what: (u64, u64), figures: &[f64]| {
                    let ms = median(figures);
                    Bar::one(format!("{} tenants", thousands(what.0 as f64)), ms, "ours", format!("{ms:.2} ms"))
                };
                let bars = vec![bar(scaling.small, &scaled.small), bar(scaling.large, &scaled.large)];
                bars_titled(&format!("{}, p50", title(&scaled.read)), bars)
            });
            each.collect()
        }),
        "neighbours" => figures(&results.neighbours).map(|found| {
            let bars = found.beside.iter().map(|beside| {
                let ms = median(&beside.p95);
                let kind = if beside.who == "nobody" { "other" } else { "ours" };
                Bar::one(format!("beside {}", neighbour(&beside.who)), ms, kind, format!("{ms:.2} ms"))
            });
            bars_titled("The quiet tenant's p95", bars.collect())
        }),
        "memory" => figures(&results.memory).map(line),
        _ => None,
    }
}

fn figures<T>(section: &Option<Section<T>>) -> Option<&T> {
    section.as_ref().and_then(Section::figures)
}

fn rates(rates: &Rates) -> String {
    let each = ["point", "page"].map(|read| {
        let bars = rates.series.iter().filter(|series| series.read == read).map(|series| {
            let rate = series.median();
            let kind = if series.who == "platform" { "ours" } else { "other" };
            Bar::one(contender(&series.who), rate, kind, thousands(rate))
        });
        bars_titled(&format!("{}, requests a second", title(read)), bars.collect())
    });
    each.concat()
}

fn costs(rates: &Rates) -> String {
    let series = rates.series.iter().filter(|series| series.own_us > 0.0 && series.read != "stream");
    let bars = series.map(|series| Bar {
        label: of_whom(&series.who, &series.read),
        parts: vec![(series.own_us, "ours"), (series.postgres_us, "other")],
        text: format!("{} + {} µs", thousands(series.own_us), thousands(series.postgres_us)),
    });
    let legend = "<p class=legend><i class=ours></i> its own <i class=other></i> PostgreSQL</p>";
    legend.to_owned() + &bars_titled("Processor time for an answer", bars.collect())
}

/// Horizontal bars from zero, on one scale, each with its label and figure.
fn bars_titled(title: &str, bars: Vec<Bar>) -> String {
    let longest = bars.iter().map(Bar::whole).fold(f64::MIN_POSITIVE, f64::max);
    let mut html = format!("<figure><figcaption>{}</figcaption><div class=bars>", escape(title));
    for bar in &bars {
        let mut parts = String::new();
        let mut from = 0.0;
        for (value, kind) in &bar.parts {
            let width = value / longest * 100.0;
            let _ = write!(parts, "<rect class={kind} x='{from:.2}' width='{width:.2}' height='10'/>");
            from += width;
        }
        let _ = write!(
            html,
            "<span class=label>{}</span><svg viewBox='0 0 100 10' preserveAspectRatio=none aria-hidden=true>{parts}</svg>\
             <span class=value>{}</span>",
            escape(&bar.label),
            escape(&bar.text)
        );
    }
    html + "</div></figure>\n"
}

/// Memory over time, from zero.
fn line(memory: &Memory) -> String {
    let (_, most) = memory.end_and_most();
    let top = (most / 16.0).ceil() * 16.0;
    let points: Vec<String> = memory
        .samples
        .iter()
        .map(|(at, mib)| format!("{:.2},{:.2}", at / memory.seconds * 100.0, 100.0 - mib / top * 100.0))
        .collect();
    format!(
        "<figure><figcaption>Resident memory, MiB</figcaption><div class=line><span class=top>{top:.0}</span>\
         <svg viewBox='0 0 100 100' preserveAspectRatio=none aria-hidden=true><path class=grid d='M0 0H100M0 50H100M0 100H100'/>\
         <polyline class=ours points='{}'/></svg><span class=zero>0</span><span class=from>0 min</span>\
         <span class=to>{:.0} min</span></div></figure>\n",
        points.join(" "),
        memory.seconds / 60.0
    )
}
