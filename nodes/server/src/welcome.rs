//! The first lines to type against a cluster, in the words of the system whose habits it follows.

use apps::Profile;

/// Commands for a shell, one a line; `first` is the base URL of the first node.
pub(crate) fn first_steps(profile: Profile, first: &str, token: &str) -> String {
    let lines: &[&str] = match profile {
        Profile::Unified | Profile::RaftMetrics => &[
            "curl -H 'Authorization: Bearer TOKEN' URL/metrics -d '{\"metric_name\":\"cpu_usage\",\"value\":75.5}'",
            "curl -H 'Authorization: Bearer TOKEN' URL/metrics/cpu_usage/aggregate",
        ],
        Profile::Analytics => &[
            "curl -H 'Content-Type: application/json' URL/insert -d '{\"partition_key\":\"sensor-1\",\"value\":21.5}'",
            "curl -H 'Accept: application/json' URL/analytics",
        ],
        Profile::MetricStream => &[
            "curl -H 'Authorization: my_client_id' URL/metrics \\",
            "     -d '{\"metrics\":[{\"name\":\"cpu_usage\",\"value\":75.5,\"type\":\"gauge\",\"tags\":{\"host\":\"server1\"}}]}'",
            "curl URL/metrics",
        ],
        Profile::Distri => &[
            "curl URL/distri/AddDocument/users -d '{\"name\":\"Ada\",\"age\":36}'",
            "curl -X POST URL/distri/ReadCollection/users",
            "cargo run --example distri -- --mode client --report",
        ],
        Profile::Raft3d => &[
            "curl URL/api/v1/printers -d '{\"id\":\"p1\",\"company\":\"Creality\",\"model\":\"Ender 3\"}'",
            "curl URL/api/v1/printers",
        ],
    };
    let lines =
        lines.iter().map(|line| format!("  {}\n", line.replace("URL", first).replace("TOKEN", token)));
    lines.collect()
}
