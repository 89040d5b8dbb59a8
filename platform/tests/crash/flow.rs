//! A flow, run undisturbed and then once for each external call it makes, with a crash right behind that call.

use std::panic::AssertUnwindSafe;

use futures::{FutureExt, StreamExt, stream};

use crate::{
    picture::{difference, picture},
    trial::{Fault, Trial, World},
};

/// So many trials of a flow run at a time: each waits for processes to start more than it works.
const AT_ONCE: usize = 3;

/// What a flow left: right behind it, and when everything that was ordered for later is done.
struct Left {
    now: String,
    later: String,
}

/// Runs a flow undisturbed, where it passes the points of `path` (`process point`, the API's first; calls that repeat
/// at once count as one), and again with a crash behind each of them. Every run must leave the same.
pub async fn survives_every_crash(path: &[&str], flow: impl AsyncFn(&mut Trial)) {
    let world = World::new().await;
    let mut calm = Trial::new(&world, None).await;
    let wanted = run(&mut calm, &flow).await;
    let steps = steps(&calm.passes);
    let passed: Vec<String> = steps.iter().map(|fault| format!("{} {}", fault.process, name(&fault.point))).collect();
    assert_eq!(passed, path, "the points that the undisturbed run passes");

    let trials = steps.into_iter().map(|fault| {
        let (world, flow, wanted) = (&world, &flow, &wanted);
        async move {
            let name = format!("{} {}", fault.process, fault.point);
            let trial = async {
                let mut trial = Trial::new(world, Some(fault)).await;
                let left = run(&mut trial, flow).await;
                compare(&wanted.now, &left.now, "right behind the flow");
                compare(&wanted.later, &left.later, "days later");
                trial.app.stop().await;
            };
            // One crash that is not survived must not hide the others.
            AssertUnwindSafe(trial).catch_unwind().await.err().map(|_| name)
        }
    });
    let lost: Vec<String> =
        stream::iter(trials).buffer_unordered(AT_ONCE).filter_map(async |name| name).collect().await;
    assert!(lost.is_empty(), "these crashes are not survived (each says why above): {lost:#?}");
}

async fn run(trial: &mut Trial, flow: &impl AsyncFn(&mut Trial)) -> Left {
    flow(trial).await;
    trial.end().await;
    let now = picture(trial).await;
    trial.days_pass().await;
    Left { now, later: picture(trial).await }
}

fn compare(wanted: &str, found: &str, when: &str) {
    let difference = difference(wanted, found);
    assert!(wanted == found, "{when} it differs from the undisturbed run:\n{difference}\nthe whole:\n{found}");
}

/// Each point passed, with which pass of it in its process this is.
fn steps(passes: &[(&'static str, String)]) -> Vec<Fault> {
    let mut steps = Vec::new();
    for (place, pass) in passes.iter().enumerate() {
        let repeats = place > 0 && passes[place - 1] == *pass;
        if !repeats {
            let count = passes[..=place].iter().filter(|other| *other == pass).count();
            steps.push(Fault { process: pass.0, point: format!("{}#{count}", pass.1) });
        }
    }
    steps
}

fn name(point: &str) -> &str {
    point.split_once('#').map_or(point, |(name, _)| name)
}

#[test]
fn calls_that_repeat_at_once_are_one_step_and_others_are_counted() {
    let passes = ["a", "b", "b", "a", "b"].map(|point| ("api", point.to_owned()));
    let points: Vec<String> = steps(&passes).into_iter().map(|fault| fault.point).collect();
    assert_eq!(points, ["a#1", "b#1", "a#2", "b#3"]);
}
