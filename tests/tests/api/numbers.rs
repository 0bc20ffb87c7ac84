//! Numbers come back as they were sent, and sums are exact.

use super::site::{Site, json_of, record, values};
use server::Profile;
use tests::random::Random;

#[test]
fn every_finite_number_comes_back() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    let mut numbers = vec![
        0.1,
        -0.0,
        5e-324,
        f64::MIN_POSITIVE,
        1e-300,
        f64::MAX,
        f64::MIN,
        123_456_789_012_345_680.0,
        0.1 + 0.2,
        1.0 / 3.0,
    ];
    let mut random = Random::new(7);
    while numbers.len() < 60 {
        let number = f64::from_bits(random.number());
        numbers.extend(Some(number).filter(|number| number.is_finite()));
    }
    numbers.iter().for_each(|number| drop(record(&mut client, "m", *number)));
    // Minus zero is zero to users.
    let expected: Vec<u64> = numbers.iter().map(|n| if *n == 0.0 { 0 } else { n.to_bits() }).collect();
    let found: Vec<u64> = values(&mut client, "m").into_iter().map(f64::to_bits).collect();
    assert_eq!(found, expected);
}

#[test]
fn sums_are_exact_and_say_so_when_they_do_not_fit() {
    let site = Site::start(Profile::Unified);
    let mut client = site.client();
    [1e16, 1.0, -1e16].into_iter().for_each(|value| drop(record(&mut client, "cancel", value)));
    let aggregate = json_of(&client.get("/metrics/cancel/aggregate?raw=true"));
    assert_eq!(aggregate["sum"].as_f64(), Some(1.0));

    (0..10).for_each(|_| drop(record(&mut client, "tenths", 0.1)));
    assert_eq!(json_of(&client.get("/metrics/tenths/aggregate"))["sum"].as_f64(), Some(1.0));

    [f64::MAX, f64::MAX].into_iter().for_each(|value| drop(record(&mut client, "huge", value)));
    let aggregate = json_of(&client.get("/metrics/huge/aggregate"));
    assert!(aggregate["sum"].is_null(), "{aggregate}");
    assert_eq!(aggregate["max"].as_f64(), Some(f64::MAX));
    record(&mut client, "huge", -f64::MAX);
    let aggregate = json_of(&client.get("/metrics/huge/aggregate"));
    assert_eq!(aggregate["sum"].as_f64(), Some(f64::MAX), "nothing was lost on the way");
}
