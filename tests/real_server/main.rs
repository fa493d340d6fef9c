//! The agent end to end against real Faraday servers of both generations: 5.25.2 (Socket.IO) and 4.6.2 (raw websocket).
//!
//! `tests/real-server/run` brings the servers up and starts these tests. They are ignored otherwise, and fail without what
//! it exports. How to start a single one stands in `tests/real-server/README.md`.
//!
//! | file | owns |
//! |---|---|
//! | `server` | a server as a logged-in user sees it, its database, and starting and stopping it |
//! | `rig` | a server with one registered agent, the run button and the waiting |
//! | `proxy` | the way between the two, to be cut |
//! | `stream` | an executor that prints hosts steadily |
//! | `enrolment`, `runs`, `refusals`, `findings`, `repairs`, `refused`, `scans`, `outages`, `kills` | the scenarios |

mod enrolment;
mod findings;
mod kills;
mod outages;
mod proxy;
mod refusals;
mod refused;
mod repairs;
mod rig;
mod runs;
mod scans;
mod server;
mod stream;
#[path = "../support/mod.rs"]
mod support;

/// Makes a test of every scenario, for one server.
macro_rules! against {
    ($server:ident, $generation:ident: $($part:ident :: $scenario:ident,)*) => {
        mod $server {
            $(#[test]
            #[ignore = "needs the servers of tests/real-server/run"]
            fn $scenario() {
                super::$part::$scenario(super::server::Server::new(super::server::Generation::$generation));
            })*
        }
    };
}

/// The scenarios that both servers go through.
macro_rules! against_both {
    ($($scenarios:tt)*) => {
        against!(server5, Five: $($scenarios)*);
        against!(server4, Four: $($scenarios)*);
    };
}

against_both! {
    enrolment::registers_joins_and_leaves,
    enrolment::uses_its_stored_token_when_started_again,
    enrolment::ends_with_a_clear_line_when_the_registration_token_is_wrong,
    enrolment::ends_with_a_clear_line_when_it_was_deleted,
    runs::arguments_and_options_reach_the_executor,
    runs::two_runs_at_once_keep_their_ids,
    runs::ten_runs_at_once_go_to_their_own_workspaces,
    runs::the_second_of_two_runs_waits_for_its_place,
    runs::a_failing_executor_says_why,
    runs::a_run_for_no_workspace_posts_nothing,
    runs::a_run_that_takes_too_long_is_ended,
    runs::sigterm_ends_a_run_delivers_and_leaves,
    refusals::arguments_that_do_not_fit_are_refused,
    refusals::an_unknown_executor_is_refused,
    findings::appear_in_two_workspaces_while_the_executor_runs,
    findings::of_every_shape_of_output_arrive,
    repairs::what_a_server_would_lose_is_stored,
    refused::a_refused_host_is_kept_and_arrives_when_it_is_corrected,
    refused::findings_wait_for_workspaces_that_take_nothing,
    scans::nmap_finds_the_ports_of_this_machine,
    scans::a_missing_tool_is_the_message,
    outages::a_cut_connection_costs_nothing,
    outages::a_restarted_server_gets_everything,
    outages::a_restarted_database_costs_nothing,
    outages::a_status_that_the_database_missed_is_told_again,
    outages::a_stream_survives_a_restart_of_the_server,
    outages::a_stream_survives_a_restart_of_the_database,
    outages::a_stream_survives_a_restart_of_both,
    kills::a_killed_agent_is_offline_at_once_and_back_with_its_token,
    kills::what_a_killed_agent_had_read_arrives,
    kills::a_run_that_had_ended_before_the_kill_is_told_as_successful,
}

against! { server5_only, Five:
    findings::credentials_appear,
    findings::a_flood_arrives_whole,
}
