//! POST bulk_create: who may write where, what is said about a body, what is kept of it.

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::losses;
use super::rest;
use super::schema;
use super::shared::{Incoming, Shared};
use super::state::{Generation, State, Workspace};

/// Answers a post and keeps it, or hands it to whoever counts.
pub fn bulk_create(shared: &Shared, workspace: &str, request: &mut Request) -> Answer {
    let allowed = may_write(&shared.lock(), workspace, request);
    if let Err(answer) = allowed {
        rest::keep_attempt(shared, request, answer.status);
        return answer;
    }
    if let Some(consume) = &shared.options.on_body {
        consume(&Incoming { at: request.at, workspace, body: &request.body });
        return shared.change(created);
    }
    let parsed = parse(request);
    // The long part is done without the lock, so that posts go in parallel.
    let verdict = match &parsed {
        Ok(body) => schema::check(body),
        Err(answer) => Err(answer.clone()),
    };
    let parsed = parsed.unwrap_or_default();
    let generation = shared.options.generation;
    let lost = losses::find(&parsed, generation);
    shared.change(|state| {
        let answer = match verdict.and_then(|()| check_execution(state, workspace, &parsed)) {
            Ok(()) => created(state),
            Err(answer) => answer,
        };
        let mut post = rest::post_of(request, workspace, &parsed, answer.status);
        if answer.status == 201 {
            post.body_lost = losses::unknown_top_level(&parsed, generation).is_some();
            post.lost = lost;
        }
        state.posts.push(post);
        answer
    })
}

fn created(state: &mut State) -> Answer {
    Answer::json(201, &json!({"command_id": state.next_id("command"), "message": "Created"}))
}

fn may_write(state: &State, workspace: &str, request: &Request) -> Result<(), Answer> {
    rest::agent_by_header(state, request)?;
    let hidden = || Answer::page(401, "You could not verify that you are authorized to access the URL requested.");
    match (state.workspaces.get(workspace), state.generation) {
        (Some(Workspace::Active), _) => Ok(()),
        (Some(Workspace::ReadOnly), _) => Err(Answer::message(403, "Altering a readonly workspace is not allowed")),
        (_, Generation::SocketIo) => Err(hidden()),
        (Some(Workspace::Inactive), Generation::Raw) => {
            Err(Answer::message(403, &format!("Disabled workspace: {workspace}")))
        }
        (None, Generation::Raw) => Err(Answer::page(404, &format!("No such workspace: {workspace}"))),
    }
}

fn parse(request: &Request) -> Result<Value, Answer> {
    let kind = request.header("content-type").unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        // Any other type counts as a body with nothing in it.
        return Ok(json!({}));
    }
    let not_json = "The browser (or proxy) sent a request that this server could not understand.";
    serde_json::from_slice(&request.body).map_err(|_| Answer::page(400, not_json))
}

/// The execution that a body names: a number, or text that is one.
pub fn execution_id(body: &Value) -> Option<i64> {
    let id = &body["execution_id"];
    id.as_i64().or_else(|| id.as_str()?.trim().parse().ok())
}

fn check_execution(state: &State, workspace: &str, body: &Value) -> Result<(), Answer> {
    let refuse = |text: &str| Err(Answer::page(400, text));
    let Some(id) = execution_id(body) else {
        return refuse("argument expected: execution_id");
    };
    match state.executions.get(&id) {
        None => refuse("Can not find an agent execution with that id"),
        Some(run) if run.workspace != workspace => refuse("Trying to write to the incorrect workspace"),
        Some(_) => Ok(()),
    }
}
