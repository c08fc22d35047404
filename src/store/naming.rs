//! What depends on the name of an integration, besides the history.

use crate::delivery::Target;

/// What is owed to a target, and which open incidents it was told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    pub target: Target,
    /// The deliveries that are pending or held.
    pub owed: u64,
    /// The number of open incidents that can end and that the target was told of.
    pub told: u64,
}

/// Selects the rows of [`Outstanding`], in SQL for both databases. `CROSS JOIN` makes SQLite begin
/// with the open incidents, which are few (<https://sqlite.org/optoverview.html>, "Manual Control
/// Of Query Plans Using CROSS JOIN").
pub(super) const OUTSTANDING: &str = "
SELECT receiver, integration, CAST(sum(owed) AS BIGINT) AS owed, CAST(sum(told) AS BIGINT) AS told
FROM (SELECT receiver, integration, count(*) AS owed, 0 AS told FROM deliveries
      WHERE settled_at IS NULL GROUP BY receiver, integration
      UNION ALL
      SELECT page.receiver, page.integration, 0, count(DISTINCT page.incident)
      FROM incidents CROSS JOIN deliveries AS page
      WHERE phase = 'firing' AND kind <> 'unparsed'
        AND page.incident = incidents.id AND page.episode = incidents.episode
        AND page.action = 'trigger' AND page.state = 'delivered'
      GROUP BY page.receiver, page.integration) AS lanes
GROUP BY receiver, integration ORDER BY receiver, integration";

/// Counts the open incidents of each profile, in SQL for both databases.
pub(super) const OPEN_BY_PROFILE: &str = "
SELECT profile, count(*) AS open FROM incidents
WHERE phase = 'firing' AND kind = 'incident' AND profile IS NOT NULL
GROUP BY profile ORDER BY profile";

/// Selects every name that was ever given, in SQL for both databases.
pub(super) const NAMES: &str = "
SELECT receiver, integration, place, fingerprint, site, address, next_receiver, next_integration
FROM integrations ORDER BY receiver, integration";

/// The condition that a row of `deliveries` belongs to the destination with this name, including
/// rows from when the destination still had another name. The arguments are the placeholders of the
/// receiver and of the integration.
macro_rules! of_destination {
    ($receiver:literal, $integration:literal) => {
        concat!(
            "(receiver, integration) IN (
                 WITH RECURSIVE names (receiver, integration) AS (
                     SELECT ",
            $receiver,
            ", ",
            $integration,
            "
                     UNION SELECT earlier.receiver, earlier.integration
                     FROM integrations AS earlier JOIN names
                       ON earlier.next_receiver = names.receiver
                       AND earlier.next_integration = names.integration)
                 SELECT receiver, integration FROM names)"
        )
    };
}
pub(crate) use of_destination;
