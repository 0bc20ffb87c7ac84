//! A small checker of the OpenMetrics text: what a scraper would choke on is an error here.
//!
//! It knows lines, families, label escapes and histograms. It leaves out exemplars and timestamps, which
//! nodes do not send.

use std::collections::{BTreeMap, BTreeSet};

/// Names and values.
pub type Labels = Vec<(String, String)>;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name with its suffix.
    pub name: String,
    /// Labels in their order.
    pub labels: Labels,
    /// Value.
    pub value: f64,
}

impl Sample {
    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn labels_without_le(&self) -> Labels {
        self.labels.iter().filter(|(name, _)| name != "le").cloned().collect()
    }
}

/// All samples of a text.
///
/// # Errors
/// The first line that is wrong, and why.
pub fn check(text: &str) -> Result<Vec<Sample>, String> {
    let lines = text.strip_suffix("# EOF\n").ok_or("the text does not end with `# EOF`")?;
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut family = String::new();
    let mut samples: Vec<Sample> = Vec::new();
    let mut seen = BTreeSet::new();
    for line in lines.lines() {
        let wrong = |why: &str| format!("{why}: {line:?}");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name, rest) = (words.next(), words.next(), words.next());
            let (Some(name), Some(rest)) = (name, rest) else { return Err(wrong("half a comment")) };
            match kind {
                Some("HELP" | "UNIT") => {}
                Some("TYPE") if kinds.insert(name.into(), rest.into()).is_some() => {
                    return Err(wrong("a second type"));
                }
                Some("TYPE") => {}
                _ => return Err(wrong("an unknown comment")),
            }
            family = name.into();
            continue;
        }
        let sample = sample(line).map_err(|why| wrong(&why))?;
        let suffix = sample.name.strip_prefix(&family).ok_or_else(|| wrong("outside its family"))?;
        let kind = kinds.get(&family).ok_or_else(|| wrong("no type"))?;
        let fits = match kind.as_str() {
            "counter" => ["_total", "_created"].contains(&suffix),
            "gauge" => suffix.is_empty(),
            "histogram" => ["_bucket", "_sum", "_count", "_created"].contains(&suffix),
            "info" => suffix == "_info",
            _ => return Err(wrong("a type that is not expected here")),
        };
        if !fits {
            return Err(wrong(&format!("{suffix:?} does not go with a {kind}")));
        }
        if !seen.insert((sample.name.clone(), sample.labels.clone())) {
            return Err(wrong("twice"));
        }
        samples.push(sample);
    }
    for (name, kind) in &kinds {
        if kind == "histogram" {
            check_histograms(name, &samples)?;
        }
    }
    Ok(samples)
}

fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    let good = |(place, c): (usize, char)| {
        c.is_ascii_alphabetic() || c == '_' || c == ':' || place > 0 && c.is_ascii_digit()
    };
    if name.is_empty() || !name.chars().enumerate().all(good) {
        return Err(format!("{name:?} is no name"));
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    // Rust's parser takes the infinities and NaN as the format writes them.
    let value = value.parse().map_err(|_| format!("{value:?} is no number"))?;
    Ok(Sample { name: name.into(), labels, value })
}

/// Labels up to the closing brace, and what comes after it.
fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Vec::new();
    while !rest.starts_with('}') {
        let (name, quoted) = rest.split_once("=\"").ok_or("a label without a value")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (place, c) in quoted.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, '\\' | '"') => value.push(c),
                (true, _) => return Err(format!("an unknown escape \\{c}")),
                (false, '"') => {
                    end = Some(place);
                    break;
                }
                (false, '\\') => {}
                (false, c) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        rest = &quoted[end.ok_or("a label that does not end")? + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
        labels.push((name.to_owned(), value));
    }
    Ok((labels, &rest[1..]))
}

fn check_histograms(name: &str, samples: &[Sample]) -> Result<(), String> {
    let [buckets, sums, counts] = ["_bucket", "_sum", "_count"].map(|suffix| {
        let own = samples.iter().filter(|sample| sample.name.strip_prefix(name) == Some(suffix));
        own.collect::<Vec<_>>()
    });
    for count in &counts {
        let wrong = |why: &str| format!("{name}{:?}: {why}", count.labels);
        let own: Vec<_> = buckets.iter().filter(|b| b.labels_without_le() == count.labels).collect();
        if sums.iter().filter(|sum| sum.labels == count.labels).count() != 1 {
            return Err(wrong("not one sum"));
        }
        let mut before = (f64::NEG_INFINITY, 0.0);
        for bucket in &own {
            let le = bucket.label("le").ok_or_else(|| wrong("a bucket without a bound"))?;
            let bound = le.parse::<f64>().map_err(|_| wrong(&format!("the bound {le:?}")))?;
            if bound <= before.0 || bucket.value < before.1 {
                return Err(wrong(&format!("{bound} {} comes after {before:?}", bucket.value)));
            }
            before = (bound, bucket.value);
        }
        let last = own.last().and_then(|bucket| bucket.label("le"));
        if last != Some("+Inf") || before.1 != count.value {
            return Err(wrong(&format!("ends with {last:?} {}, count is {}", before.1, count.value)));
        }
    }
    match buckets.iter().find(|b| !counts.iter().any(|count| count.labels == b.labels_without_le())) {
        Some(bucket) => Err(format!("{bucket:?} has no count")),
        None => Ok(()),
    }
}

#[test]
fn it_finds_what_is_wrong() {
    let histogram = "# TYPE h histogram\nh_sum{m=\"a\\\"\\\\\\nb\"} 1\nh_count{m=\"a\\\"\\\\\\nb\"} 2\n\
                     h_bucket{m=\"a\\\"\\\\\\nb\",le=\"1\"} 1\nh_bucket{m=\"a\\\"\\\\\\nb\",le=\"+Inf\"} 2\n# EOF\n";
    let samples = check(histogram).unwrap();
    assert_eq!(samples[0].label("m"), Some("a\"\\\nb"));
    for (from, to) in [
        ("# EOF\n", ""),
        ("\"} 1\nh_bucket", "\"} 3\nh_bucket"),
        ("+Inf\"} 2", "+Inf\"} 3"),
        ("+Inf", "7"),
        ("+Inf", "0.5"),
        ("h_sum", "other_sum"),
        ("h_sum", "h_total"),
        ("histogram", "gauge"),
        ("# TYPE h histogram\n", ""),
        (" 1\nh_count", " one\nh_count"),
        ("\\nb\"} 2\nh_b", "\\x\"} 2\nh_b"),
    ] {
        assert_ne!(histogram.replacen(from, to, 1), histogram, "{from}");
        assert!(check(&histogram.replacen(from, to, 1)).is_err(), "{from} to {to}");
    }
}
