//! The table at the end.

/// Which side of the bar is the good one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bar {
    AtLeast(f64),
    LessThan(f64),
}

/// One figure.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub ours: f64,
    pub bar: Bar,
    /// Of the same runs, in turn.
    pub etcd: Option<f64>,
    /// What is known of others, from elsewhere.
    pub peer: &'static str,
    /// Something that makes the figure worthless, whatever it is.
    pub spoiled: Option<String>,
}

impl Row {
    pub fn reached(&self) -> bool {
        let over = match self.bar {
            Bar::AtLeast(bar) => self.ours >= bar,
            Bar::LessThan(bar) => self.ours < bar,
        };
        over && self.spoiled.is_none()
    }
}

/// A number with as many digits as say something.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    if value < 100.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn line(row: &Row) -> String {
    let bar = match row.bar {
        Bar::AtLeast(bar) => format!(">= {}", number(bar)),
        Bar::LessThan(bar) => format!("< {}", number(bar)),
    };
    let etcd = row.etcd.map_or("-".into(), number);
    let ratio = row.etcd.map_or("-".into(), |etcd| format!("{:.2}", row.ours / etcd));
    format!(
        "{:<24} {:>10} {:>12} {:<8} {etcd:>10} {ratio:>9}  {:<12}",
        row.name,
        number(row.ours),
        bar,
        super::super::word(row.reached()),
        row.unit
    )
}

pub(super) fn print(rows: &[Row]) {
    println!();
    println!("{:<24} {:>10} {:>12} {:<8} {:>10} {:>9}", "figure", "ours", "bar", "", "etcd", "ours/etcd");
    for row in rows {
        println!("{}", line(row).trim_end());
        if let Some(why) = &row.spoiled {
            println!("  spoiled: {why}");
        }
    }
    println!();
    println!("Known of others, not measured here:");
    for row in rows {
        println!("  {:<24} {}", row.name, row.peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, bar: Bar) -> Row {
        Row { name: "n", unit: "u", ours, bar, etcd: Some(10.0), peer: "", spoiled: None }
    }

    #[test]
    fn bars_have_two_sides() {
        assert!(row(10.0, Bar::AtLeast(10.0)).reached());
        assert!(!row(9.9, Bar::AtLeast(10.0)).reached());
        assert!(row(9.9, Bar::LessThan(10.0)).reached());
        assert!(!row(10.0, Bar::LessThan(10.0)).reached());
        assert!(!row(f64::NAN, Bar::AtLeast(0.0)).reached());
        assert!(!row(f64::NAN, Bar::LessThan(1e9)).reached());
        let spoiled = Row { spoiled: Some("errors".into()), ..row(11.0, Bar::AtLeast(10.0)) };
        assert!(!spoiled.reached());
    }

    #[test]
    fn a_line_holds_ours_the_bar_etcd_and_the_ratio() {
        let line = line(&row(25_000.0, Bar::AtLeast(20_000.0)));
        for part in ["25,000", ">= 20,000", "reached", "10.00", "2500.00"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(f64::NAN), "-");
    }
}
