//! Metrics of the process itself, read from /proc (proc(5)) at each scrape.

use std::{fmt, fs, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

/// Ticks a second in /proc/PID/stat: USER_HZ, 100 on every architecture that the agent is built for.
const USER_HZ: f64 = 100.0;

/// Reads the process's own figures.
#[derive(Debug)]
pub struct ProcessMetrics {
    started: Instant,
}

impl ProcessMetrics {
    /// Registers `process_uptime_seconds`, `process_cpu_seconds_total`, `process_resident_memory_bytes`,
    /// `process_threads` and `process_open_fds`; uptime counts from `started`.
    pub fn register(registry: &mut Registry, started: Instant) {
        registry.register_collector(Box::new(Self { started }));
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let uptime = self.started.elapsed().as_secs_f64();
        gauge("process_uptime", "Time since the agent started", Some(&Unit::Seconds), Some(uptime))?;
        let resident = status_field(&status, "VmRSS").map(|kib| kib * 1024.0);
        gauge("process_resident_memory", "Memory held in RAM", Some(&Unit::Bytes), resident)?;
        gauge("process_threads", "Threads", None, status_field(&status, "Threads"))?;
        // Listing the folder opens one more.
        let fds = fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1) as f64);
        gauge("process_open_fds", "Open file descriptors", None, fds)?;
        if let Some(cpu) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            let counter = ConstCounter::new(cpu);
            let kind = counter.metric_type();
            let unit = Some(&Unit::Seconds);
            counter.encode(encoder.encode_descriptor("process_cpu", "Processor time used", unit, kind)?)?;
        }
        Ok(())
    }
}

/// The number behind `NAME:` in /proc/PID/status.
pub fn status_field(status: &str, name: &str) -> Option<f64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
}

/// User and system time of /proc/PID/stat: fields 14 and 15, counted behind the command, which is in parentheses
/// and may hold blanks and parentheses itself.
pub fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    // The first behind the command is field 3.
    let mut fields = fields.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / USER_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn the_process_reports_itself_under_the_agent_s_prefix() {
        let metrics = Metrics::new();
        metrics.register(|registry| ProcessMetrics::register(registry, Instant::now()));
        let text = metrics.encode();
        for name in [
            "p2pcam_process_uptime_seconds ",
            "p2pcam_process_cpu_seconds_total ",
            "p2pcam_process_resident_memory_bytes ",
            "p2pcam_process_threads ",
            "p2pcam_process_open_fds ",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            let value: f64 =
                value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"));
            assert!(value >= 0.0, "{name}");
        }
    }

    #[test]
    fn a_command_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 100 0 0";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (x"), None);
        assert_eq!(cpu_seconds("7 (x) S 1"), None);
    }

    #[test]
    fn a_status_field_is_found_by_its_whole_name() {
        let status = "VmRSSx:\t1 kB\nVmRSS:\t  2048 kB\nThreads:\t4\n";
        assert_eq!(status_field(status, "VmRSS"), Some(2048.0));
        assert_eq!(status_field(status, "Threads"), Some(4.0));
        assert_eq!(status_field(status, "VmSwap"), None);
    }
}
