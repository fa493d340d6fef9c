//! What a server can do to the host with RUNs of the nmap executor: the real agent, told by a stand-in server to let nmap load
//! what is none of its scripts. With a fake that looks for scripts where nmap does; with the real nmap where asked for.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{AgentBuilder, AgentProcess, SOON, Standin};

/// nmap takes a `--script` that it does not know for a file, relative to the directory in which it is, with and without `.nse`
/// (`fetchscript` in its nse_main.lua): the fake says that it would have run one.
const LOADS_FILES: &str = r#"
    script=
    while [ $# -gt 0 ]; do
        case $1 in
            --script) script=$2 ;;
            --script=*) script=${1#*=} ;;
        esac
        shift
    done
    for file in "$script" "$script.nse"; do [ ! -f "$file" ] || touch "$RAN"; done
    echo '<nmaprun><runstats><finished exit="success"/><hosts up="0" down="1" total="1"/></runstats></nmaprun>'"#;

/// A Lua script as a run before this one, or another user, may have left it.
fn planted(ran: &Path) -> String {
    format!("os.execute('touch {}')\nportrule = function() return true end\naction = portrule\n", ran.display())
}

/// Lua that closes what nmap wraps around a script, and hides the rest of an environment in a comment.
fn lua_for_an_environment(ran: &Path) -> String {
    format!("os.execute('touch {}') end end--", ran.display())
}

/// With scripts planted where its executors run; they would leave the file `ran` there.
fn agent(server: &Standin) -> AgentBuilder {
    let builder = AgentProcess::builder(server).executor_entry("nmap", json!({"repo_executor": "nmap.py"}));
    let ran = builder.dir().join("ran");
    let names = ["planted.nse", "planted", "(planted).nse", "banner.nse", "scripts/planted.nse", "scripts/banner.nse"];
    fs::create_dir(builder.dir().join("scripts")).unwrap();
    names.iter().fold(builder, |builder, name| builder.file(name, planted(&ran)))
}

/// Values of SCRIPT_CMD, and whether nmap may be started with them at all.
fn scripts(agent: &AgentProcess) -> Vec<(String, bool)> {
    let absolute = |name: &str| agent.dir().join(name).display().to_string();
    vec![
        ("/proc/self/environ".to_owned(), false),
        (absolute("planted.nse"), false),
        (absolute("planted"), false),
        ("./planted.nse".to_owned(), false),
        ("planted.nse".to_owned(), false),
        ("scripts/".to_owned(), false),
        ("default,scripts/planted".to_owned(), false),
        ("+planted".to_owned(), false),
        ("planted".to_owned(), true),
        ("(planted)".to_owned(), true),
        ("not planted, planted".to_owned(), true),
        ("banner".to_owned(), true),
    ]
}

fn check_that_nothing_is_executed(server: &Standin, agent: &AgentProcess) {
    server.wait_joined(SOON);
    let ran = agent.dir().join("ran");
    // Of one-letter names this is the one that dash, which sorts an environment by a hash, hands on first.
    let options = json!({"g": lua_for_an_environment(&ran)});
    for (script, is_started) in scripts(agent) {
        let args = json!({"TARGET": ["127.0.0.1"], "PORT_LIST": [1], "OPTION_PN": true, "SCRIPT_CMD": script});
        let id = server.run_with("nmap", args, &["ws1"], options.clone())[0];
        let status = server.wait_over(id, SOON);
        assert!(!ran.exists(), "SCRIPT_CMD={script:?} was executed; {}", status.message);
        let refused = format!("Executor nmap was not started: SCRIPT_CMD = {}", json!(script));
        assert_eq!(status.message.starts_with(&refused), !is_started, "{script}: {}", status.message);
        let was_told: Vec<Value> =
            server.statuses(id).into_iter().map(|status| status.payload["running"].clone()).collect();
        assert_eq!(was_told.contains(&Value::Bool(true)), is_started, "{script}: a run that is refused never runs");
    }
    assert!(agent.log().contains("G"), "an option that nobody documents is named in the log");
}

#[test]
fn a_run_makes_nmap_load_no_file() {
    let server = Standin::builder().workspace("ws1").start();
    let builder = agent(&server);
    let of_agent = |name: &str| builder.dir().join(name).display().to_string();
    let (ran, arguments) = (of_agent("ran"), of_agent("arguments"));
    let path = format!("{}:/usr/bin:/bin", crate::fixtures().join("bin").display());
    let builder = builder.env("PATH", &path).env("RAN", &ran);
    let agent = builder.env("FAKE_NMAP_DOES", LOADS_FILES).env("FAKE_NMAP_ARGUMENTS", &arguments).start();
    check_that_nothing_is_executed(&server, &agent);
}

#[test]
#[ignore = "needs a real nmap"]
fn a_run_makes_the_real_nmap_execute_nothing() {
    let server = Standin::builder().workspace("ws1").start();
    let agent = agent(&server).start();
    check_that_nothing_is_executed(&server, &agent);
}
