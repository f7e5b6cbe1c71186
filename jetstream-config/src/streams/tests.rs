//! The data files say what the log needs.

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::*;
use crate::buckets;

fn config(wanted: &Wanted) -> Config {
    serde_json::from_value(Value::Object(wanted.settings.clone())).unwrap()
}

/// Every setting of a file is one that JetStream knows, and each that matters is written down.
#[test]
fn every_data_file_says_only_what_jetstream_knows() {
    for wanted in all(Replicas::One) {
        let known = serde_json::to_value(config(&wanted)).unwrap();
        for (setting, value) in &wanted.settings {
            let default = matches!(value, Value::Bool(false));
            let kept = known.get(setting);
            assert!(default || kept == Some(value), "{}: {setting} {kept:?}", wanted.name());
        }
    }
}

#[test]
fn what_services_need_is_together_all_that_there_is() {
    let names = |wanted: &[Wanted]| -> std::collections::BTreeSet<String> {
        wanted.iter().map(|wanted| wanted.name().to_owned()).collect()
    };
    let each = ServiceName::ALL.map(|service| names(&of(service, Replicas::One)));
    let [registry, scheduler] = &each;
    assert_eq!(registry | scheduler, names(&all(Replicas::One)));
    assert_eq!(registry & scheduler, ["CORTEX_BLOBS".to_owned()].into());
}

#[test]
fn a_record_keeps_everything_and_says_so_when_it_cannot() {
    for service in ServiceName::ALL {
        let name = LogName { service, partition: 3, generation: 2 };
        let log = config(&event_log(name, Replicas::Three));
        assert_eq!((log.name, log.subjects), (name.stream(), vec![name.subject()]));
        assert_eq!(log.storage, StorageType::File);
        assert_eq!((log.retention, log.discard), (RetentionPolicy::Limits, DiscardPolicy::New));
        assert!(log.deny_delete && log.deny_purge && log.allow_direct && !log.allow_rollup);
        assert!(log.max_age.is_zero() && log.max_messages < 0 && 0 < log.max_bytes);
        assert!(log.max_messages_per_subject < 0);
        assert_eq!((log.num_replicas, log.persist_mode), (3, None));
        let frame = i32::try_from(schemas::frame::FRAME_BYTES_MAX).unwrap();
        assert!(frame < log.max_message_size);
    }
}

#[test]
fn only_what_can_be_made_anew_is_acknowledged_before_it_is_written() {
    for replicas in [Replicas::One, Replicas::Three, Replicas::Five] {
        for wanted in all(replicas) {
            let hasty = wanted.settings.contains_key(PERSIST_MODE);
            let may_be = wanted.role == Role::Disposable && replicas == Replicas::One;
            assert_eq!(hasty, may_be, "{} on {replicas:?}", wanted.name());
        }
    }
}

#[test]
fn buckets_are_what_plain_nats_kv_expects() {
    for wanted in buckets::all(Replicas::One) {
        let bucket = config(&wanted);
        assert_eq!(bucket.max_messages_per_subject, 1, "{}", bucket.name);
        assert_eq!(bucket.subjects, [format!("$KV.{}.>", &bucket.name["KV_".len()..])]);
        assert!(bucket.allow_rollup && bucket.deny_delete && !bucket.deny_purge);
        assert!(bucket.allow_direct && bucket.discard == DiscardPolicy::New);
    }
}

#[test]
fn every_stream_is_bounded_and_the_bounds_add_up() {
    let wanted = all(Replicas::One);
    for stream in &wanted {
        assert!(0 < config(stream).max_bytes, "{}", stream.name());
        assert!(0 < config(stream).max_consumers, "{}", stream.name());
    }
    let shrunk: Vec<_> = wanted.iter().cloned().map(|stream| stream.with_max_bytes(10)).collect();
    assert_eq!(storage_bytes(&shrunk), 10 * wanted.len() as u64);
}

#[test]
fn replicas_are_one_three_or_five() {
    let counts: Vec<_> = (0..=6).filter(|count| Replicas::of(*count).is_some()).collect();
    assert_eq!(counts, [1, 3, 5]);
}
