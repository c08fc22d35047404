//! What the process under load takes of the machine, from `/proc`.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

/// Reads its memory every second.
pub struct Watch {
    pid: u32,
    cpu_before: f64,
    resident: Arc<Mutex<Vec<f64>>>,
}

impl Watch {
    pub fn start(pid: u32) -> Self {
        let resident = Arc::new(Mutex::new(vec![megabytes(pid, "VmRSS:")]));
        let series = Arc::clone(&resident);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                series.lock().unwrap().push(megabytes(pid, "VmRSS:"));
            }
        });
        Self { pid, cpu_before: cpu_seconds(pid), resident }
    }

    pub fn report(self) -> Value {
        let mut resident = self.resident.lock().unwrap().clone();
        resident.push(megabytes(self.pid, "VmRSS:"));
        // At each tenth of the run: whether it grows.
        let tenths: Vec<f64> = (0..=10).map(|tenth| resident[tenth * (resident.len() - 1) / 10]).collect();
        json!({
            "cpu_s": super::round(cpu_seconds(self.pid) - self.cpu_before),
            "peak_mb": megabytes(self.pid, "VmHWM:"),
            "resident_mb": tenths,
        })
    }
}

fn megabytes(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix(field)?.trim().split(' ').next()?.parse::<f64>().ok());
    super::round(kilobytes.unwrap_or_default() / 1_000.0)
}

/// User and system time; the kernel counts in hundredths (`USER_HZ`, proc(5)).
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |index| fields.split_whitespace().nth(index).and_then(|text: &str| text.parse::<f64>().ok());
    (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0
}
