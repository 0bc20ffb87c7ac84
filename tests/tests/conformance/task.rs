//! Tasks: how they start, give a value and stop; blocking work; `select!`.

use crate::arms::Place;
use rt::task::{Stopped, TaskGroup, blocking, spawn};
use rt::time::sleep;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

both_arms! {
    a_task_gives_its_value,
    a_task_goes_on_without_its_handle,
    an_aborted_task_ends_without_a_value,
    an_aborted_task_drops_what_it_holds,
    an_abort_after_the_end_changes_nothing,
    tasks_take_turns,
    a_dropped_group_stops_its_tasks,
    blocking_work_gives_its_value,
    blocking_work_lets_other_tasks_run,
    select_takes_the_first_ready_branch,
    select_drops_the_others,
}

async fn a_task_gives_its_value(_: Place) {
    assert_eq!(spawn(async { 7 }).await, Ok(7));
    let nested = spawn(async { spawn(async { "inner" }).await });
    assert_eq!(nested.await, Ok(Ok("inner")));
}

async fn a_task_goes_on_without_its_handle(_: Place) {
    let (sender, receiver) = oneshot::channel();
    drop(spawn(async move {
        sleep(Duration::from_millis(5)).await;
        sender.send(1).unwrap();
    }));
    assert_eq!(receiver.await, Ok(1));
}

async fn an_aborted_task_ends_without_a_value(_: Place) {
    let task = spawn(pending::<u8>());
    sleep(Duration::from_millis(5)).await;
    task.abort();
    assert_eq!(task.await, Err(Stopped));

    // Before it ever ran.
    let task = spawn(pending::<u8>());
    task.abort();
    assert_eq!(task.await, Err(Stopped));
}

async fn an_aborted_task_drops_what_it_holds(_: Place) {
    let (held, dropped) = oneshot::channel::<()>();
    let task = spawn(async move {
        let _held = held;
        pending::<()>().await;
    });
    sleep(Duration::from_millis(5)).await;
    task.abort();
    assert!(dropped.await.is_err(), "nothing was sent");
}

async fn an_abort_after_the_end_changes_nothing(_: Place) {
    let (done, ended) = oneshot::channel();
    let task = spawn(async move {
        done.send(()).unwrap();
        3
    });
    ended.await.unwrap();
    sleep(Duration::from_millis(20)).await;
    task.abort();
    assert_eq!(task.await, Ok(3));
}

async fn tasks_take_turns(_: Place) {
    let (ping, pinged) = oneshot::channel();
    let (pong, ponged) = oneshot::channel();
    let first = spawn(async move {
        ping.send(1).unwrap();
        ponged.await.unwrap()
    });
    let second = spawn(async move { pong.send(pinged.await.unwrap() + 1).unwrap() });
    assert_eq!(first.await, Ok(2));
    second.await.unwrap();
}

async fn a_dropped_group_stops_its_tasks(_: Place) {
    let group = TaskGroup::default();
    let turns = Arc::new(AtomicU32::new(0));
    let mut ends = Vec::new();
    for _ in 0..3 {
        let (held, dropped) = oneshot::channel::<()>();
        let turns = turns.clone();
        group.spawn(async move {
            let _held = held;
            loop {
                turns.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(1)).await;
            }
        });
        ends.push(dropped);
    }
    while turns.load(Ordering::SeqCst) < 6 {
        sleep(Duration::from_millis(5)).await;
    }
    drop(group);
    for end in ends {
        assert!(end.await.is_err(), "nothing was sent");
    }
    let at_the_end = turns.load(Ordering::SeqCst);
    sleep(Duration::from_millis(30)).await;
    assert_eq!(turns.load(Ordering::SeqCst), at_the_end);
}

async fn blocking_work_gives_its_value(_: Place) {
    let text = String::from("moved in");
    assert_eq!(blocking(move || text + " and out").await, "moved in and out");
}

async fn blocking_work_lets_other_tasks_run(_: Place) {
    let works: Vec<_> = (0..20u32).map(|number| spawn(blocking(move || number * 2))).collect();
    let other = spawn(async { sleep(Duration::from_millis(1)).await });
    for (number, work) in (0..).zip(works) {
        assert_eq!(work.await, Ok(number * 2));
    }
    assert_eq!(other.await, Ok(()));
}

async fn select_takes_the_first_ready_branch(_: Place) {
    for _ in 0..200 {
        let first = rt::select! {
            () = pending::<()>() => 0,
            () = async {} => 1,
            () = async {} => 2,
        };
        assert_eq!(first, 1);
    }
    let late = rt::select! {
        () = sleep(Duration::from_secs(30)) => "slow",
        () = sleep(Duration::from_millis(5)) => "quick",
    };
    assert_eq!(late, "quick");
}

async fn select_drops_the_others(_: Place) {
    let (held, dropped) = oneshot::channel::<()>();
    let loser = async move {
        let _held = held;
        pending::<()>().await;
    };
    rt::select! {
        () = loser => unreachable!("it never ends"),
        () = sleep(Duration::from_millis(1)) => {}
    }
    assert!(dropped.await.is_err(), "nothing was sent");
}
