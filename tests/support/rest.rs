//! The REST side around bulk_create: reachability, registration, websocket tokens, and who may do what.

use std::sync::Arc;

use serde_json::{Value, json};

use super::bulk;
use super::http::{Answer, Request};
use super::shared::Shared;
use super::state::{Generation, Post, State};

const NO_PERMISSION: &str = "You don't have the permission to access the requested resource. It is either read-protected or not readable by the server.";

/// Answers a request as the server does.
pub fn answer(shared: &Shared, request: &mut Request) -> Answer {
    let base = &shared.options.base_route;
    let Some(path) = request.path().strip_prefix(&**base).map(str::to_owned) else {
        return not_found();
    };
    match (request.method.as_str(), path.as_str()) {
        ("GET", "/_api/v3/info") => info(shared.options.generation),
        ("GET", "/_api/config") => Answer::json(200, &json!({})),
        ("POST", "/_api/v3/agents") => register(shared, request),
        ("POST", "/_api/v3/agent_websocket_token") => shared.change(|state| websocket_token(state, request)),
        (_, "/_api/v3/agents" | "/_api/v3/agent_websocket_token" | "/_api/v3/agent_websocket_token/") => unauthorized(),
        ("POST", _) => match workspace_of(request, base) {
            Some(workspace) => bulk::bulk_create(shared, &workspace, request),
            None if path.ends_with("/bulk_create/") => {
                Answer::page(405, "The method is not allowed for the requested URL.")
            }
            None => not_found(),
        },
        _ => not_found(),
    }
}

/// The workspace that a post goes to; `None` for anything but bulk_create.
pub fn workspace_of(request: &Request, base: &str) -> Option<String> {
    let path = request.path().strip_prefix(base)?;
    let name = path.strip_prefix("/_api/v3/ws/")?.strip_suffix("/bulk_create")?;
    let plain = !name.is_empty() && !name.contains('/');
    plain.then(|| percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned())
}

fn info(generation: Generation) -> Answer {
    match generation {
        Generation::SocketIo => unauthorized(),
        Generation::Raw => Answer::json(200, &json!({"Faraday Server": "Running", "Version": "4.6.2"})),
    }
}

fn register(shared: &Shared, request: &Request) -> Answer {
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return Answer::page(400, "The browser (or proxy) sent a request that this server could not understand.");
    };
    let mut wrong = serde_json::Map::new();
    for key in ["token", "name"] {
        match &body[key] {
            Value::Null => wrong.insert(key.to_owned(), json!(["Missing data for required field."])),
            Value::String(_) => continue,
            _ => wrong.insert(key.to_owned(), json!(["Not a valid string."])),
        };
    }
    if !wrong.is_empty() {
        return Answer::json(400, &json!({"messages": {"json": wrong}}));
    }
    shared.change(|state| {
        if body["token"] != state.registration_token.as_str() {
            return Answer::page(401, "Invalid Token");
        }
        let name = body["name"].as_str().unwrap_or_default();
        let id = state.register(name);
        let token = &state.agents[&id].token;
        Answer::json(
            201,
            &match state.generation {
                Generation::SocketIo => {
                    json!({"id": id, "name": name, "token": token, "description": body["description"]})
                }
                Generation::Raw => json!({"id": id, "name": name, "token": token}),
            },
        )
    })
}

fn websocket_token(state: &mut State, request: &Request) -> Answer {
    match agent_by_header(state, request) {
        Ok(id) if state.agents[&id].active => Answer::json(200, &json!({"token": state.issue(id)})),
        Ok(_) => Answer::message(403, NO_PERMISSION),
        Err(answer) => answer,
    }
}

/// The agent that the Authorization header names, or what such a header is answered.
pub fn agent_by_header(state: &State, request: &Request) -> Result<i64, Answer> {
    let Some((word, token)) = request.header("authorization").and_then(|value| value.split_once(' ')) else {
        return Err(unauthorized());
    };
    if word.eq_ignore_ascii_case("agent") {
        return state.agent_of(token.trim()).ok_or_else(|| Answer::message(403, NO_PERMISSION));
    }
    let body = json!({"message": "Exception: Not enough segments", "success": false});
    Err(if word == "Token" { Answer::json(500, &body) } else { unauthorized() })
}

/// Keeps a post that a fault answered, so that a test sees what was tried.
pub fn keep_attempt(shared: &Shared, request: &mut Request, status: u16) {
    let Some(workspace) = workspace_of(request, &shared.options.base_route) else {
        return;
    };
    if shared.options.on_body.is_some() {
        return;
    }
    let parsed: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let post = post_of(request, &workspace, &parsed, status);
    shared.change(|state| state.posts.push(post));
}

/// What is kept of a post; takes its body.
pub fn post_of(request: &mut Request, workspace: &str, parsed: &Value, status: u16) -> Post {
    let length = |key: &str| parsed[key].as_array().map_or(0, Vec::len);
    Post {
        at: request.at,
        workspace: workspace.to_owned(),
        authorization: request.header("authorization").map(str::to_owned),
        execution_id: bulk::execution_id(parsed),
        status,
        body: Arc::new(std::mem::take(&mut request.body)),
        hosts: length("hosts"),
        credentials: length("credentials"),
        lost: Vec::new(),
        body_lost: false,
    }
}

fn unauthorized() -> Answer {
    Answer::page(401, "You could not verify that you are authorized to access the URL requested.")
}

fn not_found() -> Answer {
    Answer::page(404, "The requested URL was not found on the server.")
}
