//! CloudWatch's filter patterns for JSON lines, as far as `infra/log_metrics.json` uses them (CloudWatch Logs user guide,
//! "Filter pattern syntax for metric filters"). Whatever else the syntax has is refused, and not guessed at.

use serde_json::Value;

/// What a line must be.
#[derive(Debug)]
pub enum Pattern {
    /// All of them hold.
    All(Vec<Pattern>),
    /// One of them holds.
    Any(Vec<Pattern>),
    /// The field is a text like this one, in which `*` stands for anything.
    Like(Vec<String>, String),
    /// The field is a number in this relation to that one.
    Number(Vec<String>, Relation, f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Relation {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Pattern {
    /// Reads `{ … }`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Rest(text);
        rest.expect("{")?;
        let pattern = rest.any()?;
        rest.expect("}")?;
        if rest.skip().is_empty() { Ok(pattern) } else { Err(format!("more behind the pattern: {}", rest.0)) }
    }

    /// Whether a line is counted.
    pub fn matches(&self, line: &Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|pattern| pattern.matches(line)),
            Self::Any(any) => any.iter().any(|pattern| pattern.matches(line)),
            Self::Like(path, like) => field(line, path).and_then(Value::as_str).is_some_and(|text| is_like(text, like)),
            Self::Number(path, relation, number) => {
                let found = field(line, path).and_then(Value::as_f64);
                found.is_some_and(|found| match relation {
                    Relation::Less => found < *number,
                    Relation::AtMost => found <= *number,
                    Relation::Equal => found == *number,
                    Relation::AtLeast => found >= *number,
                    Relation::More => found > *number,
                })
            }
        }
    }
}

/// The field that `$.a.b` selects.
pub fn select<'a>(line: &'a Value, selector: &str) -> Option<&'a Value> {
    let path: Vec<String> = selector.strip_prefix("$.")?.split('.').map(str::to_owned).collect();
    field(line, &path)
}

fn field<'a>(line: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(line, |value, name| value.get(name))
}

fn is_like(text: &str, like: &str) -> bool {
    let Some((begin, others)) = like.split_once('*') else {
        return text == like;
    };
    let Some(mut rest) = text.strip_prefix(begin) else {
        return false;
    };
    let mut parts: Vec<&str> = others.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(end)
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self) -> &'a str {
        self.0 = self.0.trim_start();
        self.0
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.skip().strip_prefix(token);
        self.0 = found.unwrap_or(self.0);
        found.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("`{token}` is missing before `{}`", self.0)) }
    }

    /// `a || b`, which binds less than `&&`.
    fn any(&mut self) -> Result<Pattern, String> {
        let mut any = vec![self.all()?];
        while self.take("||") {
            any.push(self.all()?);
        }
        Ok(Pattern::Any(any))
    }

    fn all(&mut self) -> Result<Pattern, String> {
        let mut all = vec![self.one()?];
        while self.take("&&") {
            all.push(self.one()?);
        }
        Ok(Pattern::All(all))
    }

    fn one(&mut self) -> Result<Pattern, String> {
        if self.take("(") {
            let inner = self.any()?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.expect("$.")?;
        let end = self.0.find(|c: char| !c.is_alphanumeric() && !"_.".contains(c)).unwrap_or(self.0.len());
        let (path, rest) = self.0.split_at(end);
        self.0 = rest;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(format!("no field before `{rest}`"));
        }
        let relation = [
            ("<=", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("<", Relation::Less),
            (">", Relation::More),
            ("=", Relation::Equal),
        ]
        .into_iter()
        .find(|(token, _)| self.take(token));
        let Some((_, relation)) = relation else {
            return Err(format!("this is not understood: `{}`", self.0));
        };
        if self.take("\"") {
            let (text, rest) = self.0.split_once('"').ok_or("a text that does not end")?;
            if relation != Relation::Equal || text.contains('\\') || text.contains('%') {
                return Err(format!("a text is compared as it is: {text}"));
            }
            self.0 = rest;
            return Ok(Pattern::Like(path, text.to_owned()));
        }
        let end = self.skip().find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(self.0.len());
        let (number, rest) = self.0.split_at(end);
        let number = number.parse().map_err(|_| format!("neither a text nor a number: `{}`", self.0))?;
        self.0 = rest;
        Ok(Pattern::Number(path, relation, number))
    }
}

#[test]
fn a_pattern_matches_what_cloudwatch_says_it_does() {
    use serde_json::json;

    let line =
        json!({"message": "request", "status": 429, "route": "/a/{id}/stream", "inner": {"n": 0.5}, "empty": ""});
    for (pattern, matches) in [
        (r#"{ $.message = "request" }"#, true),
        (r#"{ $.message = "requests" }"#, false),
        (r#"{$.message="req*"}"#, true),
        (r#"{ $.route = "/a/*/stream" }"#, true),
        (r#"{ $.route = "*/*/str" }"#, false),
        (r#"{ $.empty = "*" }"#, true),
        (r#"{ $.nothing = "*" }"#, false),
        (r#"{ $.status = "*" }"#, false),
        ("{ $.status = 429 }", true),
        ("{ $.status > 429 }", false),
        ("{ $.status >= 429 }", true),
        ("{ $.message = 429 }", false),
        ("{ $.inner.n < 1 }", true),
        ("{ $.inner.n <= 0 }", false),
        (r#"{ $.status = 1 && $.status = 2 || $.message = "request" }"#, true),
        (r#"{ $.status = 1 && ($.status = 2 || $.message = "request") }"#, false),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(&line), matches, "{pattern}");
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    for pattern in [
        "",
        "request",
        "{ $.status }",
        "{ $.status = }",
        "{ $.status != 1 }",
        "{ $.status = 1 } { $.status = 2 }",
        "{ $.status = 1 && }",
        "{ ($.status = 1 }",
        "{ $. = 1 }",
        "{ $.list[0] = 1 }",
        "{ $.status IS NULL }",
        "{ $.status NOT EXISTS }",
        r#"{ $.message = "open }"#,
        r#"{ $.message = %regular% }"#,
        r#"{ $.message >= "a" }"#,
    ] {
        assert!(Pattern::parse(pattern).is_err(), "{pattern}");
    }
}
