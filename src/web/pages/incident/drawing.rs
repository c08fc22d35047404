//! The chart of measured values against the objective.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    label::Labels,
    message::Outcome,
    store::MailRow,
    web::pages::{
        chart::{self, Chart},
        when::When,
        words::{label, quantity},
    },
};

#[derive(Serialize)]
pub struct Drawing {
    #[serde(flatten)]
    chart: Chart,
    words: String,
    from: When,
    to: When,
}

/// Draws what was measured, from the mails that were applied.
pub fn drawing(
    mails: &[&MailRow],
    its: &Labels,
    over: Option<Timestamp>,
    now: Timestamp,
) -> Option<Drawing> {
    let value = |mail: &&&MailRow| {
        let value = label(&mail.labels, "sli_value")?.parse::<f64>().ok()?;
        let says_so = !matches!(
            mail.outcome,
            Outcome::Quarantined | Outcome::Stale | Outcome::Pending
        );
        says_so.then_some((mail.arrived_at, value))
    };
    let mut values: Vec<_> = mails.iter().filter_map(|mail| value(&mail)).collect();
    values.sort_by_key(|(at, _)| *at);
    let &(begin, first) = values.first()?;
    let &(_, last) = values.last()?;

    let unit = label(its, "unit").unwrap_or_default();
    let objective = label(its, "slo_value").and_then(|value| value.parse::<f64>().ok());
    let end = chart::end(begin, over, now);
    let said = |value: f64| quantity(&value.to_string(), unit);
    let was = match values.len() {
        1 => said(first),
        number => format!(
            "{} at first, {} at last, by {number} mails",
            said(first),
            said(last)
        ),
    };
    let against = objective.map_or_else(String::new, |value| {
        format!("; the objective is {}", said(value))
    });

    Some(Drawing {
        chart: Chart::new(&values, objective, end)?,
        words: format!("Measured: {was}{against}"),
        from: When::new(begin, now),
        to: When::new(end, now),
    })
}
