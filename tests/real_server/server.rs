//! A real Faraday server as a logged-in user sees it, over REST, and where that tells too little, its database.
//! What it is and where comes from the environment that `tests/real-server/run` makes.

use std::fmt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use ureq::http::{Request, Response};

/// For what a server does in its own time: it stores findings after it has taken them, and the older one hands out events
/// one each half second, a RUN behind all that an import has queued.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Nothing tells when a server has changed its mind: looking again is all there is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// 5.25.2: Socket.IO, findings stored by a worker.
    Five,
    /// 4.6.2: raw websocket on a port of its own.
    Four,
}

pub struct Server {
    pub generation: Generation,
    pub api_port: u16,
    pub websocket_port: u16,
    url: String,
    database: String,
    http: ureq::Agent,
    cookie: String,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    cookie: Option<String>,
}

/// One row of `agent_execution`: how a run in one workspace stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    pub id: i64,
    pub running: Option<bool>,
    pub successful: Option<bool>,
    pub message: String,
}

/// A variable that `run` exports; a test without it must not look as if it had passed.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: these tests need real servers, start them with tests/real-server/run")
    })
}

fn port(name: &str) -> u16 {
    variable(name).parse().unwrap_or_else(|e| panic!("{name}: {e}"))
}

impl Server {
    pub fn new(generation: Generation) -> Server {
        let (number, api_port, websocket_port) = match generation {
            Generation::Five => (5, "FARADAY5_PORT", "FARADAY5_PORT"),
            Generation::Four => (4, "FARADAY4_API_PORT", "FARADAY4_WS_PORT"),
        };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            // A server that was restarted meanwhile has closed them.
            .max_idle_connections(0)
            .timeout_global(Some(Duration::from_secs(60)));
        let mut server = Server {
            generation,
            api_port: port(api_port),
            websocket_port: port(websocket_port),
            url: variable(&format!("FARADAY{number}_URL")),
            database: variable(&format!("FARADAY{number}_DATABASE")),
            http: config.build().into(),
            cookie: String::new(),
        };
        server.log_in();
        server
    }

    /// As `tests/real-server/ctl` calls it.
    pub fn service(&self) -> &'static str {
        match self.generation {
            Generation::Five => "server5",
            Generation::Four => "server4",
        }
    }

    fn log_in(&mut self) {
        let credentials = json!({"email": variable("FARADAY_USER"), "password": variable("FARADAY_PASSWORD")});
        let answer = self.insist("POST", "/_api/login", &credentials);
        self.cookie = answer.cookie.unwrap_or_else(|| panic!("the login brought no cookie: {}", answer.text));
    }

    /// Any answer will do.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.try_request(method, path, body).unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    fn try_request(&self, method: &str, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let request = request.header("Content-Type", "application/json").header("Cookie", &self.cookie).body(body);
        // Only a path that is no path can fail, and then before anything is sent.
        Ok(Answer::read(self.http.run(request?)?))
    }

    /// Once more after a 500: with one the older server greets a database that has come back.
    #[track_caller]
    fn insist(&self, method: &str, path: &str, body: &Value) -> Answer {
        let answer = self.request(method, path, body);
        if answer.status == 500 { self.request(method, path, body) } else { answer }
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.insist(method, path, body);
        assert!((200..300).contains(&answer.status), "{method} {path} {body}: {answer:?}");
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.ask("GET", path, &Value::Null)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, body)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) {
        self.ask("DELETE", path, &Value::Null);
    }

    /// Six digits that let an agent register for a minute or two.
    pub fn registration_token(&self) -> String {
        let answer = self.get("/_api/v3/agent_token");
        answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A new workspace, whose name is not only letters.
    pub fn workspace(&self) -> String {
        let name = unique("w$(1)+");
        self.post("/_api/v3/ws", &json!({"name": name}));
        name
    }

    /// Every agent of this name.
    pub fn agents(&self, name: &str) -> Vec<Value> {
        let mut agents = self.get("/_api/v3/agents").as_array().cloned().unwrap_or_default();
        agents.retain(|agent| agent["name"] == name);
        agents
    }

    pub fn is_online(&self, agent: i64) -> bool {
        self.get(&format!("/_api/v3/agents/{agent}"))["is_online"] == true
    }

    /// What a workspace holds: `hosts`, `services`, `vulns`, `commands` or `credential`.
    pub fn list(&self, workspace: &str, what: &str) -> Vec<Value> {
        let answer = self.get(&format!("/_api/v3/ws/{}/{what}", encoded(workspace)));
        let key = match what {
            "hosts" | "credential" => "rows",
            "vulns" => "vulnerabilities",
            other => other,
        };
        let rows = answer[key].as_array().unwrap_or_else(|| panic!("no {key} in {answer}"));
        rows.iter().map(|row| row["value"].clone()).collect()
    }

    /// The addresses of all hosts that are stored, sorted; from the database, as long lists take the server seconds.
    #[track_caller]
    pub fn stored_ips(&self, workspace: &str) -> Vec<String> {
        let of = format!("workspace_id = (select id from workspace where name = '{workspace}')");
        let mut ips: Vec<String> =
            self.sql(&format!("select ip from host where {of}")).lines().map(str::to_owned).collect();
        ips.sort();
        ips
    }

    /// Restarts the older server, which forgets its events then: it hands out one each half second, and the next test's RUN
    /// would have to wait behind hundreds.
    pub fn forget_events(&self) {
        if self.generation == Generation::Four {
            ctl("stop", self.service());
            ctl("start", self.service());
        }
    }

    /// Changes whether a workspace takes anything: its column `active` or `readonly`.
    #[track_caller]
    pub fn set_workspace(&self, workspace: &str, column: &str, value: bool) {
        let changed = self.sql(&format!("update workspace set {column} = {value} where name = '{workspace}'"));
        assert_eq!(changed, "UPDATE 1");
    }

    /// The addresses of a workspace's hosts, sorted.
    pub fn ips(&self, workspace: &str) -> Vec<String> {
        let mut ips: Vec<String> = self.list(workspace, "hosts").iter().map(|host| text(&host["ip"])).collect();
        ips.sort();
        ips
    }

    /// The run that a command of the run button stands for.
    pub fn execution(&self, command: i64) -> Execution {
        let columns = "id, running, successful, coalesce(message, '') as message";
        let query = format!(
            "select row_to_json(e) from (select {columns} from agent_execution where command_id = {command}) e"
        );
        let row: Value =
            serde_json::from_str(&self.sql(&query)).unwrap_or_else(|e| panic!("no execution of {command}: {e}"));
        Execution {
            id: row["id"].as_i64().unwrap_or_default(),
            running: row["running"].as_bool(),
            successful: row["successful"].as_bool(),
            message: text(&row["message"]),
        }
    }

    /// Asks the server's database, or changes it behind the server's back.
    #[track_caller]
    pub fn sql(&self, statement: &str) -> String {
        let psql = Command::new("psql").args([&self.database, "-v", "ON_ERROR_STOP=1", "-Atc", statement]).output();
        let output = psql.expect("psql is there, because the servers need it");
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes the server believe that an agent's executor has these parameters.
    pub fn pretend_params(&self, agent: i64, executor: &str, params: &Value) {
        let changed = self.sql(&format!(
            "update executor set parameters_metadata = '{params}' where agent_id = {agent} and name = '{executor}'"
        ));
        assert_eq!(changed, "UPDATE 1");
    }
}

impl Answer {
    fn read(mut response: Response<ureq::Body>) -> Answer {
        let cookie = response.headers().get("set-cookie").and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|value| value.split(';').next()).map(str::to_owned);
        let text = response.body_mut().read_to_string().unwrap_or_else(|e| panic!("an answer broke off: {e}"));
        Answer { status: response.status().as_u16(), text, cookie }
    }
}

impl Execution {
    /// The server shows it as running.
    pub fn is_running(&self) -> bool {
        self.running == Some(true)
    }

    pub fn is_over(&self) -> bool {
        self.running == Some(false)
    }
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "running {:?}, successful {:?}: {}", self.running, self.successful, self.message)
    }
}

/// `tests/real-server/ctl`: start, stop or kill one of the services.
#[track_caller]
pub fn ctl(what: &str, service: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real-server/ctl");
    let status = Command::new(script).args([&variable("FARADAY_DIR"), what, service]).status();
    assert!(status.is_ok_and(|status| status.success()), "ctl {what} {service}");
}

/// A name that no other test and no earlier start of the tests has used.
pub fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{stem}{millis}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn encoded(workspace: &str) -> String {
    percent_encoding::utf8_percent_encode(workspace, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Looks again and again until `probe` finds something; `None` when time is up.
pub fn look<T>(within: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}
