//! The figures are the machine's own.

use schemas::{
    InstanceId,
    sandbox::{SandboxReport, Tier},
};

use super::{Meter, hundredths, percent};

#[test]
fn the_machine_has_processors_memory_disk_and_a_shell() {
    let sandbox = SandboxReport { tier: Tier::T0, properties: std::collections::BTreeMap::new() };
    let instance = InstanceId::parse("n1-1").unwrap();
    let folder = std::env::temp_dir();
    let report = Meter::new().report(instance, 4, &folder, sandbox);
    assert!(0 < report.cpus && 0 < report.memory_bytes && 0 < report.disk_free_bytes);
    assert!(report.platform.contains('/') && !report.kernel.is_empty());
    assert!(report.tools.get("sh").is_some_and(|path| path.ends_with("/sh")), "{:?}", report.tools);
}

#[test]
fn the_load_is_real() {
    let load = Meter::new().load();
    assert!(0 < load.memory_used_bytes && load.memory_used_bytes < load.memory_total_bytes);
    assert!(1024 * 1024 < load.process_memory_bytes, "{load:?}");
    assert!(load.process_memory_bytes < load.memory_total_bytes);
    assert!(load.cpu_percent <= 100);
}

#[test]
fn figures_outside_of_their_range_are_brought_into_it() {
    assert_eq!((percent(-1.0), percent(49.6), percent(1e9), percent(f32::NAN)), (0, 50, 100, 0));
    assert_eq!((hundredths(0.12), hundredths(-3.0)), (12, 0));
}
