//! Log lines: one flat JSON object each, with the fields of all surrounding spans.

use std::{fmt::Debug, io::Write, ops::Range};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer,
    fmt::MakeWriter,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{failures, redact::redact};

/// Spans that stand for one piece of work: all errors within have one cause, the first.
const UNITS_OF_WORK: [&str; 2] = ["http.request", "job"];

/// A tracing layer that writes each event as a line.
///
/// Errors get a `fingerprint`, by which they are counted; the errors of one request or job share that of the first.
#[derive(Debug)]
pub struct JsonLines<W> {
    writer: W,
}

/// Names that no field of a span or event may take.
const OWN: [&str; 4] = ["timestamp", "level", "target", "fingerprint"];

/// The fields of a span, kept with it, or of an event: their values as JSON text.
#[derive(Default)]
struct Fields {
    text: Vec<u8>,
    values: Vec<(&'static str, Range<usize>)>,
}

/// The fingerprint of the first error of a request or a job.
struct Failure(String);

impl<W> JsonLines<W> {
    /// Writes to whatever `writer` makes.
    pub fn new(writer: W) -> Self {
        Self { writer }
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let metadata = event.metadata();
        let mut line = Line::begin();
        line.text("timestamp", &now());
        line.text("level", metadata.level().as_str());
        line.text("target", metadata.target());
        // What is nearer to the event counts more.
        line.fields(&own);
        let mut unit = None;
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.fields(fields);
            }
            if unit.is_none() && UNITS_OF_WORK.contains(&span.name()) {
                unit = Some(span);
            }
        }
        if *metadata.level() == Level::ERROR {
            let fingerprint = failure(unit, metadata.target(), &own.parsed(), &line);
            line.text("fingerprint", &fingerprint);
        }
        // One write, so that lines of several threads do not mix. A log that can't be written has nowhere to say so.
        let _ = self.writer.make_writer_for(metadata).write_all(&line.end());
    }
}

/// A line in the making.
struct Line {
    json: Vec<u8>,
    /// The names of the fields in it.
    names: Vec<&'static str>,
}

impl Line {
    fn begin() -> Self {
        let mut json = Vec::with_capacity(512);
        json.push(b'{');
        Self { json, names: Vec::with_capacity(16) }
    }

    fn name(&mut self, name: &str) {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        write_json(&mut self.json, name);
        self.json.push(b':');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_json(&mut self.json, value);
    }

    /// Adds the fields whose names are not taken yet.
    fn fields(&mut self, fields: &Fields) {
        for (name, value) in &fields.values {
            if !self.names.contains(name) && !OWN.contains(name) {
                self.name(name);
                self.json.extend_from_slice(&fields.text[value.clone()]);
                self.names.push(name);
            }
        }
    }

    fn parsed(&self) -> Map<String, Value> {
        let whole = [self.json.as_slice(), b"}"].concat();
        serde_json::from_slice(&whole).unwrap_or_default()
    }

    fn end(mut self) -> Vec<u8> {
        self.json.extend_from_slice(b"}\n");
        self.json
    }
}

fn write_json(into: &mut Vec<u8>, value: impl serde::Serialize) {
    // Memory takes everything, and texts and numbers are always JSON.
    let _ = serde_json::to_writer(into, &value);
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The fingerprint of an error: that of the unit's first, or a new one, which is counted.
fn failure<S>(unit: Option<SpanRef<'_, S>>, target: &str, event: &Map<String, Value>, line: &Line) -> String
where
    S: for<'a> LookupSpan<'a>,
{
    if let Some(unit) = &unit
        && let Some(Failure(first)) = unit.extensions().get::<Failure>()
    {
        return first.clone();
    }
    let fingerprint = identify(target, event, &line.parsed());
    failures::count(&fingerprint);
    if let Some(unit) = unit {
        unit.extensions_mut().insert(Failure(fingerprint.clone()));
    }
    fingerprint
}

/// What tells one cause from another: the place of a panic, the words of an error, or the route and status of an
/// answer whose cause nobody told.
fn identify(target: &str, event: &Map<String, Value>, all: &Map<String, Value>) -> String {
    let text = |fields: &Map<String, Value>, name: &str| match fields.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let location = text(event, "location");
    if !location.is_empty() {
        return failures::fingerprint(&["panic", &location], &[]);
    }
    let (message, cause, error) = (text(event, "message"), text(event, "cause"), text(event, "error"));
    if cause.is_empty() && error.is_empty() {
        let (method, route, status) = (text(all, "method"), text(all, "route"), text(event, "status"));
        return failures::fingerprint(&[target, &method, &route, &status], &[&message]);
    }
    failures::fingerprint(&[target], &[&message, &cause, &error])
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl serde::Serialize) {
        let name = field.name().trim_start_matches("r#");
        let begin = self.text.len();
        write_json(&mut self.text, value);
        let value = begin..self.text.len();
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.values.push((name, value)),
        }
    }

    fn parsed(&self) -> Map<String, Value> {
        let values = self.values.iter();
        values
            .filter_map(|(name, value)| {
                Some(((*name).to_owned(), serde_json::from_slice(&self.text[value.clone()]).ok()?))
            })
            .collect()
    }
}

/// OpenTelemetry's own names say again what others say.
fn is_said_elsewhere(field: &Field) -> bool {
    field.name().starts_with("otel.")
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !is_said_elsewhere(field) {
            self.put(field, redact(value));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(value), |error| error.source());
        let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        self.put(field, redact(&text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if !is_said_elsewhere(field) {
            self.put(field, redact(&format!("{value:?}")));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::field::Empty;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines written while `work` runs.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let paper = Paper::default();
        let written = paper.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || paper.clone()));
        tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_has_the_fields_of_all_spans_around_it_recorded_later_or_not() {
        let lines = lines(|| {
            let request = tracing::info_span!(
                "http.request",
                otel.name = "GET /x",
                route = "/x",
                request_id = "r-1",
                tenant = tracing::field::Empty
            );
            let _request = request.enter();
            request.record("tenant", tracing::field::display("acme"));
            let _inner = tracing::info_span!("inner", step = 2).entered();
            tracing::info!(answer = 42, "done");
        });
        let line = &lines[0];
        for (name, value) in
            [("route", "/x"), ("request_id", "r-1"), ("tenant", "acme"), ("message", "done"), ("level", "INFO")]
        {
            assert_eq!(line[name], value, "{line}");
        }
        assert_eq!((line["step"].as_i64(), line["answer"].as_i64()), (Some(2), Some(42)));
        assert!(line.get("otel.name").is_none() && line.get("fingerprint").is_none());
    }

    #[test]
    fn a_name_stands_once_and_what_is_nearer_to_the_event_counts() {
        let paper = Paper::default();
        let written = paper.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || paper.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let outer =
                tracing::info_span!("http.request", status = 1, route = "/x", level = "low", step = Empty).entered();
            outer.record("step", 1);
            outer.record("step", 2);
            let _inner = tracing::info_span!("inner", route = "/\"y\n").entered();
            tracing::info!(status = 200, ratio = 0.5, ok = true, "done");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        for (name, value) in [
            ("status", "200"),
            ("route", r#""/\"y\n""#),
            ("level", r#""INFO""#),
            ("step", "2"),
            ("ratio", "0.5"),
            ("ok", "true"),
        ] {
            assert_eq!(text.matches(&format!("\"{name}\":")).count(), 1, "{text}");
            assert!(text.contains(&format!("\"{name}\":{value}")), "{name}: {text}");
        }
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn addresses_and_tokens_do_not_reach_a_line() {
        let lines = lines(|| {
            let _span = tracing::info_span!("job", note = "for ann@example.com").entered();
            tracing::warn!(error = ?"refused bob@example.com", "about {}", "cat@example.com");
        });
        assert!(!lines[0].to_string().contains("example.com"), "{}", lines[0]);
    }

    #[test]
    fn the_errors_of_one_request_share_the_fingerprint_of_the_first() {
        let request = |cause: &str| {
            let _span = tracing::info_span!("http.request", method = "GET", route = "/x").entered();
            tracing::error!(cause, "internal error");
            tracing::error!(status = 500, "request failed");
        };
        let lines = lines(|| {
            request("no row 17");
            request("no row 4");
            request("no column");
        });
        let prints: Vec<_> = lines.iter().map(|line| line["fingerprint"].as_str().unwrap()).collect();
        assert_eq!(prints[0], prints[1]);
        assert_eq!(prints[0], prints[2]);
        assert_ne!(prints[0], prints[4]);
    }

    #[test]
    fn answers_without_a_cause_are_told_apart_by_route_and_status() {
        let lines = lines(|| {
            for (route, status) in [("/x", 503), ("/x", 504), ("/y", 503), ("/x", 503)] {
                let _span = tracing::info_span!("http.request", method = "GET", route).entered();
                tracing::error!(status, "request failed");
            }
        });
        let prints: Vec<_> = lines.iter().map(|line| line["fingerprint"].as_str().unwrap()).collect();
        assert!(prints[0] != prints[1] && prints[0] != prints[2] && prints[0] == prints[3], "{prints:?}");
    }
}
