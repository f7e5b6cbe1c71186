//! Effects follow commits, and none is forgotten.

use std::{sync::Arc, time::Duration};

use jetstream_config::twin::{Fault as LogFault, TwinLog};

use crate::{
    counter::{Effect, UNLUCKY},
    stage::World,
};

/// More than fit into the line to their performer.
const MANY: u64 = 3000;

fn added(world: &World) -> Vec<u64> {
    let number = |effect| match effect {
        Effect::Added(number) => Some(number),
        Effect::Total(_) => None,
    };
    world.performed().into_iter().filter_map(number).collect()
}

/// Waits until `number` was told to the world.
async fn told(world: &World, number: u64) {
    while !added(world).contains(&number) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_effect_is_performed_in_order_however_slow_the_world_is() {
    let world = Arc::new(World::new(TwinLog::new()));
    world.performs.send_replace(false);
    let _writer = world.start("one");
    world.add("first", 1_000_000).await.expect("added");
    let adding = (0..MANY).map(|number| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.add(&format!("a{number}"), number + 100).await })
    });
    for added in adding.collect::<Vec<_>>() {
        added.await.expect("no panic").expect("added");
    }
    assert!(added(&world).is_empty());
    world.performs.send_replace(true);
    world.add("last", 7).await.expect("added");
    told(&world, 7).await;
    let mut numbers = added(&world);
    assert_eq!((numbers.first(), numbers.last()), (Some(&1_000_000), Some(&7)));
    numbers.sort_unstable();
    let expected = [7].into_iter().chain(100..MANY + 100).chain([1_000_000]);
    assert_eq!(numbers, expected.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_time_calls_for_waits_for_the_commit_that_it_rests_on() {
    let world = World::new(TwinLog::new());
    let writer = world.start("one");
    world.add("a", 1).await.expect("added");
    world.log.script([LogFault::UnknownAndLost]);
    writer.connection.disconnect();
    let adding = world.add("b", 2);
    tokio::pin!(adding);
    assert!(tokio::time::timeout(Duration::from_secs(2), &mut adding).await.is_err());
    assert!(!world.performed().contains(&Effect::Total(3)), "told before it was committed");
    writer.connection.reconnect();
    adding.await.expect("added");
    while !world.performed().contains(&Effect::Total(3)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_panics_takes_no_other_with_it() {
    let world = World::new(TwinLog::new());
    let _writer = world.start("one");
    for number in [1, UNLUCKY, 2] {
        world.add(&format!("a{number}"), number).await.expect("added");
    }
    told(&world, 2).await;
    assert_eq!(added(&world), [1, 2]);
}
