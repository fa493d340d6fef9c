//! From the start to the first join, and everything that can be wrong before it.
//!
//! | row of the table                                   | test |
//! |----------------------------------------------------|------|
//! | start-up: config, register, wstoken, polling 5xx, even once | `a_start_is_tried_again_while_the_server_is_troubled`, `a_registration_is_tried_again_while_the_server_is_troubled` |
//! | config read-only when registering                  | `nothing_is_registered_that_could_not_be_kept` |
//! | --token with a saved token                         | `a_token_that_was_kept_is_used_again`, `a_token_that_is_of_no_use_any_more_is_replaced_with_token` |
//! | wrong, malformed, absent token                     | `a_wrong_registration_token_is_one_line_and_exit_1`, `six_digits_are_asked_for_before_anything_is_sent`, `without_any_token_it_says_what_to_do` |
//! | agent token unknown to the server (403)            | `an_agent_that_the_server_does_not_know_ends_and_says_what_to_do` |
//! | ssl_cert missing file (even with ssl false) / null | `ssl_cert_counts_only_with_ssl` |
//! | missing ssl, ssl_cert, max_size, varenvs, params; unknown keys | `a_configuration_may_lack_what_nobody_needs` |
//! | saved token file                                   | `registration_keeps_the_token_for_its_owner_alone_and_leaves_the_configuration` |
//!
//! Of issue 2, "Starting": 402, a server that comes later, the state directory, `websocket_port`, TLS and `base_route`.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use serde_json::json;

use crate::rig::{GENERATIONS, agent, check_run, join, payloads, print, run, side_by_side, standin, with_both};
use crate::support::{AgentBuilder, AgentProcess, Endpoint, Fault, Generation, Identity, SOON, Standin};

const TICKET: &str = "/_api/v3/agent_websocket_token";

/// How many requests there were to this path.
fn requests(server: &Standin, path: &str) -> usize {
    server.requests().iter().filter(|(_, target, _)| target == path).count()
}

/// The agent gives up with exit code 1, and the last line of its log is an error that holds these words.
#[track_caller]
fn check_gives_up(server: &Standin, agent: AgentBuilder, words: &[&str]) {
    let agent = agent.start();
    let exit = agent.wait_exit(SOON);
    let log = agent.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("[ERROR]")).collect();
    assert_eq!((exit.code(), errors.len()), (Some(1), 1), "{log}");
    assert_eq!(errors.last(), log.lines().last().as_ref(), "{log}");
    for word in words {
        assert!(errors[0].contains(word), "{word:?} in {}", errors[0]);
    }
    assert_eq!(server.joins().len(), 0);
    assert_eq!(agent.descendants(), [0; 0], "nobody is left behind");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o7777
}

#[test]
fn registration_keeps_the_token_for_its_owner_alone_and_leaves_the_configuration() {
    with_both(|generation| {
        let server = standin(generation);
        let digits = server.registration_token();
        let builder = agent(&server, "true").option("agent.description", "in the cellar").registering(&digits);
        let mut agent = join(&server, builder);
        let config = agent.dir().join("dispatcher.yaml");
        let before = (fs::read(&config).unwrap(), fs::metadata(&config).unwrap().modified().unwrap());
        let kept = agent.state_dir().join("token");
        let token = fs::read_to_string(&kept).expect("a token was kept");
        assert_eq!((mode(&kept), mode(&agent.state_dir())), (0o600, 0o700));
        let names: Vec<(String, String)> =
            server.look(|state| state.agents.values().map(|agent| (agent.name.clone(), agent.token.clone())).collect());
        // The first is the one that the builder would have had.
        assert_eq!(names[1..], [("agent1".to_owned(), token.trim_end().to_owned())]);
        run(&server);

        agent.terminate();
        assert_eq!(agent.wait_exit(SOON).code(), Some(0));
        server.set_registration_token("999999");
        let mark = agent.log_mark();
        agent.start_again();
        server.wait_joined_nth(2, SOON);
        agent.wait_log_from(mark, "the registration token is not needed", SOON);
        assert_eq!(server.look(|state| state.agents.len()), 2, "no second agent of the same name");
        assert_eq!(fs::read_to_string(&kept).expect("still there"), token);
        let after = (fs::read(&config).unwrap(), fs::metadata(&config).unwrap().modified().unwrap());
        assert_eq!(before, after, "the user's file is the user's");
    });
}

#[test]
fn a_token_that_was_kept_is_used_again() {
    let server = standin(Generation::SocketIo);
    let token = server.add_agent();
    let builder = agent(&server, "true").option("tokens", json!({}));
    let state = builder.state_dir();
    fs::write(state.join("token"), format!("{token}\n")).expect("a file of our own");
    let agent = join(&server, builder);
    agent.wait_log("[INFO] joined", SOON);
    assert_eq!(requests(&server, "/_api/v3/agents"), 0);
    assert_eq!(server.joins()[0].agent, 1);
}

#[test]
fn a_token_that_is_of_no_use_any_more_is_replaced_with_token() {
    let server = standin(Generation::SocketIo);
    let stale = "s".repeat(64);
    let builder = agent(&server, "true").registering(&server.registration_token());
    let builder = builder.option("tokens", json!({"agent": stale}));
    let agent = join(&server, builder);
    let line = agent.wait_log("registering anew now", SOON);
    assert!(line.contains("[WARN]") && !line.contains(&stale), "{line}");
    agent.wait_log("tokens.agent of the configuration is of no use any more: remove it there", SOON);
    assert!(agent.state_dir().join("token").exists());
    assert_eq!(server.look(|state| state.agents.len()), 2);
}

#[test]
fn a_wrong_registration_token_is_one_line_and_exit_1() {
    let server = standin(Generation::SocketIo);
    let words = ["refused the registration token with 401", "the digits that the server's Agents page shows now"];
    check_gives_up(&server, agent(&server, "true").registering("000000"), &words);
    assert_eq!(server.look(|state| state.agents.len()), 1);
    assert_eq!(requests(&server, "/_api/v3/agents"), 1, "not asked twice");
}

#[test]
fn six_digits_are_asked_for_before_anything_is_sent() {
    let server = standin(Generation::SocketIo);
    for token in ["", "12345", "1234567", "12345a", "１２３４５６", "123 56"] {
        let agent = agent(&server, "true").registering(token).start();
        assert_eq!(agent.wait_exit(SOON).code(), Some(2), "{token:?}");
        assert!(agent.log().contains("--token: expected the six digits"), "{}", agent.log());
        assert_eq!(agent.log().lines().count(), 1);
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn without_any_token_it_says_what_to_do() {
    let server = standin(Generation::SocketIo);
    let words = ["this agent is not registered yet", "--token and the six digits that the server's Agents page shows"];
    check_gives_up(&server, agent(&server, "true").option("tokens", json!({"agent": ""})), &words);
    let builder = agent(&server, "true").option("tokens", json!({}));
    check_gives_up(&server, builder, &words);
}

/// The tests may run as root, whom no mode stops: places where nobody can write stand for a read-only disk.
#[test]
fn nothing_is_registered_that_could_not_be_kept() {
    let server = standin(Generation::SocketIo);
    let digits = server.registration_token();
    let builder = agent(&server, "true").registering(&digits);
    fs::create_dir_all(builder.state_dir().join("token.new/blocked")).expect("a directory of our own");
    check_gives_up(&server, builder, &["cannot write to the state directory", "agent.state_dir"]);

    let builder = agent(&server, "true").registering(&digits).file("plain", "");
    let below_a_file = builder.dir().join("plain/state");
    let below_a_file = builder.option("agent.state_dir", json!(below_a_file));
    check_gives_up(&server, below_a_file, &["cannot create the state directory"]);
    let in_proc = agent(&server, "true").registering(&digits).option("agent.state_dir", "/proc/self");
    check_gives_up(&server, in_proc, &["the state directory /proc/self: "]);

    assert_eq!(server.look(|state| state.agents.len()), 3, "only those of the builders");
    assert_eq!(requests(&server, "/_api/v3/agents"), 0);
}

#[test]
fn an_agent_that_the_server_does_not_know_ends_and_says_what_to_do() {
    with_both(|generation| {
        let server = standin(generation);
        let builder = agent(&server, "true").option("tokens", json!({"agent": "u".repeat(64)}));
        let words = [
            "does not know this agent's token",
            "the one in tokens.agent of the configuration",
            "to register anew, start with --token-file or --token and the six digits",
        ];
        check_gives_up(&server, builder, &words);
        assert_eq!(requests(&server, TICKET), 1, "not asked for ever");
    });
}

#[test]
fn an_agent_that_was_deleted_while_it_was_idle_ends_at_the_next_join() {
    let server = standin(Generation::SocketIo);
    let builder = agent(&server, "true");
    let agent = join(&server, builder);
    let token = server.look(|state| state.agents[&1].token.clone());
    server.delete_agent(&token);
    server.cut_links(crate::support::Cut::Fin);
    assert_eq!(agent.wait_exit(SOON).code(), Some(1));
    assert!(agent.log().lines().last().is_some_and(|line| line.contains("does not know this agent's token")));
}

#[test]
fn an_expired_licence_is_one_line_and_exit_1() {
    let server = standin(Generation::SocketIo);
    server.inject(Fault::answer(402).on(Endpoint::WebsocketToken));
    check_gives_up(&server, agent(&server, "true"), &["licence has expired", "renew it on the server"]);
    server.clear_faults();
    server.inject(Fault::answer(402).on(Endpoint::Register));
    let builder = agent(&server, "true").registering(&server.registration_token());
    check_gives_up(&server, builder, &["licence has expired"]);
}

#[test]
fn a_start_is_tried_again_while_the_server_is_troubled() {
    let faults: [fn() -> Fault; 6] = [
        || Fault::answer(500).on(Endpoint::WebsocketToken),
        || Fault::answer(429).on(Endpoint::WebsocketToken),
        || Fault::hang_up().on(Endpoint::WebsocketToken),
        || Fault::answer(200).body("text/html", "<p>maintenance</p>").on(Endpoint::WebsocketToken),
        || Fault::answer(502).on(Endpoint::Upgrade),
        || Fault::hang_up().by_reset().on(Endpoint::Info),
    ];
    let cases = GENERATIONS.into_iter().flat_map(|generation| faults.map(|fault| (generation, fault)));
    side_by_side(cases, |(generation, fault)| {
        let server = standin(generation);
        let hit = server.inject(fault().times(1));
        let agent = join(&server, agent(&server, "true"));
        assert_eq!(server.hits(hit), 1);
        run(&server);
        assert!(agent.log().contains("[WARN] no connection: "), "{}", agent.log());
        assert!(!agent.log().contains("[ERROR]"), "{}", agent.log());
    });
}

/// Any answer shows that there is a server.
#[test]
fn trouble_with_info_does_not_matter() {
    let server = standin(Generation::SocketIo);
    server.inject(Fault::answer(503).on(Endpoint::Info));
    let agent = join(&server, agent(&server, "true"));
    assert!(!agent.log().contains("[WARN]"), "{}", agent.log());
}

#[test]
fn a_registration_is_tried_again_while_the_server_is_troubled() {
    let server = standin(Generation::SocketIo);
    server.inject(Fault::answer(503).on(Endpoint::Register).times(1));
    let agent = join(&server, agent(&server, "true").registering(&server.registration_token()));
    assert_eq!(requests(&server, "/_api/v3/agents"), 2);
    assert_eq!(server.look(|state| state.agents.len()), 2);
    assert!(agent.state_dir().join("token").exists());
}

/// Every registration makes another agent on the server.
#[test]
fn a_registration_whose_answer_was_lost_is_not_repeated() {
    let server = standin(Generation::SocketIo);
    server.inject(Fault::lose_answer().on(Endpoint::Register).times(1));
    let builder = agent(&server, "true").registering(&server.registration_token());
    check_gives_up(&server, builder, &["the answer to the registration got lost", "Agents page"]);
    assert_eq!(requests(&server, "/_api/v3/agents"), 1);
}

#[test]
fn a_server_that_comes_later_is_waited_for() {
    with_both(|generation| {
        let server = standin(generation);
        server.close_ports(None);
        let agent = agent(&server, "true").registering(&server.registration_token()).start();
        agent.wait_log("no connection: ", SOON);
        // A second try has failed in the same way, and is not worth another warning.
        agent.wait_log("trying again in ", SOON);
        server.open_ports();
        server.wait_joined(SOON);
        let warnings = agent.log().lines().filter(|line| line.contains("[WARN]")).count();
        assert_eq!(warnings, 1, "said once\n{}", agent.log());
        run(&server);
    });
}

#[test]
fn the_version_is_logged_where_the_server_tells_it() {
    for (generation, words) in [
        (Generation::Raw, "Faraday server 4.6.2 at 127.0.0.1:"),
        (Generation::SocketIo, "it does not tell its version"),
    ] {
        let server = standin(generation);
        let agent = join(&server, agent(&server, "true"));
        assert!(agent.wait_log(words, SOON).contains("[INFO]"));
        assert_eq!(server.requests()[0], ("GET".to_owned(), "/_api/v3/info".to_owned(), Some(info_status(generation))));
    }
}

fn info_status(generation: Generation) -> u16 {
    if generation == Generation::Raw { 200 } else { 401 }
}

#[test]
fn ssl_cert_counts_only_with_ssl() {
    let server = standin(Generation::SocketIo);
    for (n, cert) in [json!("/no/such/file.pem"), json!(null), json!("")].into_iter().enumerate() {
        let agent = agent(&server, "true").option("server.ssl_cert", cert).start();
        server.wait_joined_nth(n + 1, SOON);
        assert!(!agent.log().contains("[WARN]"), "{}", agent.log());
    }
    let builder = agent(&server, "true").option("server.ssl", true).option("server.ssl_cert", "/no/such/file.pem");
    let agent = builder.start();
    assert_eq!(agent.wait_exit(SOON).code(), Some(2));
    assert!(agent.log().contains("server.ssl_cert: "), "{}", agent.log());
}

/// As a person might write it, with what is left over from older versions.
#[test]
fn a_configuration_may_lack_what_nobody_needs() {
    let server = standin(Generation::SocketIo);
    let builder = AgentProcess::builder(&server);
    let token = server.look(|state| state.agents[&1].token.clone());
    let state_dir = builder.dir().join("state");
    let config = format!(
        "server:\n  host: 127.0.0.1\n  api_port: \"{}\"\n  ssl: 'False'\n  workspaces: [old]\n\
         tokens: {{agent: {token}, registration: 'x'}}\n\
         agent:\n  agent_name: agent1\n  state_dir: {}\n  executors:\n    e:\n      cmd: {}\n      colour: red\n\
         faraday: {{unknown: section}}\n",
        server.api_port(),
        state_dir.display(),
        json!(print("10.0.0.1")),
    );
    let agent = join(&server, builder.config_text(&config));
    check_run(&server, &["10.0.0.1"], true, "exit code 0; 1 host delivered");
    assert!(agent.log().contains("agent.executors.e.colour: unknown key"), "{}", agent.log());
}

#[test]
fn a_configuration_with_mistakes_ends_with_exit_2_before_anything_is_sent() {
    let server = standin(Generation::SocketIo);
    for (key, value, words) in [
        ("server.api_port", json!("abc"), "server.api_port: \"abc\" is not a port"),
        ("tokens.agent", json!("short"), "tokens.agent: the value (not shown) is not 64 letters and digits"),
        ("agent.executors", json!({"my scan": {"cmd": "true"}}), "must not be empty or have spaces"),
    ] {
        let agent = agent(&server, "true").option(key, value).start();
        assert_eq!(agent.wait_exit(SOON).code(), Some(2), "{key}\n{}", agent.log());
        assert!(agent.log().contains(words), "{}", agent.log());
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn without_websocket_port_the_api_port_is_meant() {
    for port in [json!(0), json!(null), json!("0")] {
        let server = standin(Generation::SocketIo);
        let _agent = join(&server, agent(&server, "true").option("server.websocket_port", port));
    }
}

/// A configuration from before the server's upgrade still names the port that raw websockets had.
#[test]
fn the_port_of_an_older_server_does_not_lead_astray() {
    let (server, older) = (standin(Generation::SocketIo), standin(Generation::Raw));
    older.close_ports(None);
    let builder = agent(&server, "true").option("server.websocket_port", older.websocket_port());
    let _agent = join(&server, builder);
    run(&server);
}

#[test]
fn without_state_dir_the_token_is_kept_where_the_environment_says() {
    let server = standin(Generation::SocketIo);
    let register = || agent(&server, "true").option("agent.state_dir", json!(null)).registering("123456");
    for (n, (variable, place)) in [
        ("XDG_STATE_HOME", "xdg/faraday-agent/agent1"),
        ("STATE_DIRECTORY", "sys"),
        ("HOME", ".local/state/faraday-agent/agent1"),
    ]
    .into_iter()
    .enumerate()
    {
        let builder = register();
        let value = builder.dir().join(place.split('/').next().expect("a first step"));
        let builder = match variable {
            "HOME" => builder,
            _ => builder.env(variable, &value.display().to_string()),
        };
        let agent = builder.start();
        server.wait_joined_nth(n + 1, SOON);
        assert!(agent.dir().join(place).join("token").exists(), "{variable}");
    }
}

#[test]
fn everything_works_over_tls_and_below_a_base_route() {
    with_both(|generation| {
        let server = Standin::builder()
            .generation(generation)
            .workspace("ws1")
            .tls(Identity::self_signed(&["127.0.0.1"]))
            .base_route("/deep/faraday")
            .start();
        let builder = agent(&server, &print("10.0.0.1")).registering(&server.registration_token());
        let _agent = join(&server, builder);
        check_run(&server, &["10.0.0.1"], true, "exit code 0; 1 host delivered");
        let below = |target: &String| target.starts_with("/deep/faraday/");
        assert!(server.requests().iter().all(|(_, target, _)| below(target)), "{:?}", server.requests());
    });
}

/// Proxies of the environment are for other programs: the command channel goes to the server itself, and so does REST.
#[test]
fn proxies_of_the_environment_are_not_used() {
    let server = standin(Generation::SocketIo);
    let names = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let builder = names.iter().fold(agent(&server, "true"), |agent, name| agent.env(name, "http://127.0.0.1:1"));
    let _agent = join(&server, builder);
    run(&server);
}

#[test]
fn a_place_without_a_faraday_server_is_told_apart() {
    let table: [(u16, Endpoint, &[&str]); 5] = [
        (404, Endpoint::WebsocketToken, &["there is no Faraday server at this place", "server.base_route"]),
        (302, Endpoint::WebsocketToken, &["redirects the request for a websocket token"]),
        (401, Endpoint::WebsocketToken, &["does a proxy in between drop or replace the Authorization header?"]),
        (404, Endpoint::Upgrade, &["no command channel", "answered 404", "must forward websocket upgrades"]),
        (400, Endpoint::Upgrade, &["no command channel", "answered 400"]),
    ];
    side_by_side(table, |(status, endpoint, words)| {
        let server = standin(Generation::SocketIo);
        server.inject(Fault::answer(status).on(endpoint));
        check_gives_up(&server, agent(&server, "true"), words);
    });
}

#[test]
fn an_agent_without_executors_joins_all_the_same() {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, AgentProcess::builder(&server));
    assert_eq!(server.joins()[0].executors, json!([]));
    agent.wait_log("agent.executors: empty; the server will have nothing to run here", SOON);
}

/// The state directory of an earlier agent whose run was cut short: it starts all the same.
#[test]
fn leftovers_in_the_state_directory_do_no_harm() {
    let server = standin(Generation::SocketIo);
    let builder = agent(&server, "true");
    let state = builder.state_dir();
    let runs = state.join("runs");
    fs::DirBuilder::new().mode(0o700).create(&runs).expect("a directory of our own");
    fs::write(runs.join("1.journal"), "no journal").expect("a file of our own");
    fs::write(state.join("token.new"), "half a tok").expect("a file of our own");
    let _agent = join(&server, builder);
    let (id, _) = run(&server);
    assert_eq!(payloads(&server, id).len(), 2);
}
