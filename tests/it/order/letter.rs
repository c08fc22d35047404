//! The mails of one incident, made to be small and many.

/// One mail about an incident; `second` counts from midnight and tells which of its mails is newer.
pub fn letter(incident: &str, status: &str, second: u32, measured: f64, padding: usize) -> Vec<u8> {
    let time = format!(
        "2026-03-01T{:02}:{:02}:{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    );
    let json = format!(
        "{{\"appKey\":\"com.example.order\",\"incidentId\":\"{incident}\",\
         \"incidentStatus\":\"{status}\",\
         \"metricName\":\"Jira App Availability\",\"metricUnit\":\"PERCENT\",\"time\":\"{time}\",\
         \"sliValue\":{measured},\"sloValue\":99.0}}"
    );
    // A larger mail takes longer to store and to read: what is sent after it could overtake it.
    let padding = "<p>measured</p>\r\n".repeat(padding);
    format!(
        "From: Atlassian <no-reply@am.atlassian.com>\r\nTo: alerts@example.com\r\nSubject: \
         {incident}\r\n\
         Date: Sun, 01 Mar 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/html; \
         charset=utf-8\r\n\r\n\
         <html><body>{padding}<script type=\"application/json\" \
         id=\"incident-data\">{json}</script></body></html>\r\n"
    )
    .into_bytes()
}
