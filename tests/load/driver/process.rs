//! What the processes under load take of the machine, from `/proc`.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

/// Reads their memory every second.
pub struct Watch {
    pids: Vec<u32>,
    cpu_before: f64,
    resident: Arc<Mutex<Vec<f64>>>,
}

impl Watch {
    pub fn start(pids: &[u32]) -> Self {
        let resident = Arc::new(Mutex::new(vec![megabytes(pids, "VmRSS:")]));
        let (series, watched) = (Arc::clone(&resident), pids.to_vec());
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                series.lock().unwrap().push(megabytes(&watched, "VmRSS:"));
            }
        });
        Self {
            pids: pids.to_vec(),
            cpu_before: cpu_seconds(pids),
            resident,
        }
    }

    pub fn report(self) -> Value {
        let mut resident = self.resident.lock().unwrap().clone();
        resident.push(megabytes(&self.pids, "VmRSS:"));
        // At each tenth of the run: whether it grows.
        let tenths: Vec<f64> = (0..=10)
            .map(|tenth| resident[tenth * (resident.len() - 1) / 10])
            .collect();
        json!({
            "cpu_s": super::round(cpu_seconds(&self.pids) - self.cpu_before),
            "peak_mb": megabytes(&self.pids, "VmHWM:"),
            "resident_mb": tenths,
        })
    }
}

fn megabytes(pids: &[u32], field: &str) -> f64 {
    let kilobytes = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().find_map(|line| {
            line.strip_prefix(field)?
                .trim()
                .split(' ')
                .next()?
                .parse::<f64>()
                .ok()
        })
    };
    super::round(pids.iter().filter_map(kilobytes).sum::<f64>() / 1_000.0)
}

/// User and system time; the kernel counts in hundredths (`USER_HZ`, proc(5)).
fn cpu_seconds(pids: &[u32]) -> f64 {
    let ticks = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|text| text.parse::<f64>().ok())
            .sum::<f64>()
    };
    pids.iter().map(ticks).sum::<f64>() / 100.0
}
