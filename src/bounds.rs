//! What others may cost this program: every bound on bytes, counts and time that a server, an executor, a scanned host or another
//! user of this machine could otherwise exceed, beside each other, each with its reason. Numbers only; the code that enforces one
//! names it from here, and `docs/security.md` says which test shows it. Bounds that protect nothing from anybody (pauses of
//! retries, sizes of buffers) stand where they are used.

use std::time::Duration;

// The server: one message of the command channel.

/// Executions, and so workspaces, of one RUN. Each costs the agent a delivery, and the server sends as many as somebody has ticked.
pub const WORKSPACES_MAX: usize = 1_000;
/// Arguments of one RUN, and as many options; no executor has a tenth of them.
pub const ARGUMENTS_MAX: usize = 256;
/// Names of executors, workspaces, arguments and options: the server itself keeps no longer ones.
pub const NAME_BYTES_MAX: usize = 256;
/// All variables that a RUN gives its executor together. execve(2) takes a quarter of the stack's limit, which is 2 MiB where
/// nobody has changed it; the other half is for the agent's own environment.
pub const ENV_BYTES_MAX: usize = 1 << 20;
/// What is said of a RUN's arguments where people read it, in the server's list of commands and in each post: more would be
/// repeated with every post.
pub const PARAMS_BYTES_MAX: usize = 8 * 1024;
/// A person reads a status in the cell of a table; the server stores any length.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Workspaces of a run that a status names with what is wrong with each; the others are counted.
pub const WORKSPACES_NAMED_MAX: usize = 5;
/// Mistakes of one RUN that are named; the others are counted.
pub const PROBLEMS_MAX: usize = 16;

// The server: what it can repeat on the command channel, for each turn of the reactor.

/// Messages that are handled in one turn, so that no other source waits for a server that talks without end.
pub const FRAMES_PER_TURN_MAX: usize = 64;

// The server: runs, and what it is owed for them.

/// `agent.max_concurrent_runs` where it is not configured: more scanners at once than a host of their own can feed.
pub const CONCURRENT_RUNS_MAX: usize = 64;
/// `agent.waiting_runs_max` where it is not configured: a week of runs that somebody has planned, and no flood.
pub const WAITING_RUNS_MAX: usize = 256;
/// What all runs hold of the agent's memory from their RUN to the server's word for their last status, the ones that wait and
/// the ones that cannot be delivered included. Beside it there has to be room for the largest message, below 64 MiB in all.
pub const RUNS_BYTES_MAX: usize = 24 << 20;
/// Executions of refused RUNs that are remembered for one executor until the server has heard of them; some 16 bytes each. What
/// comes on top is logged and stays open at the server.
pub const REFUSED_IDS_MAX: usize = 100_000;
/// The same for all executors together.
pub const REFUSED_IDS_TOTAL_MAX: usize = 200_000;
/// As many of them go into one status, with 21 bytes each at most: servers take frames of up to 1 MB.
pub const REFUSED_IDS_TOLD_MAX: usize = 10_000;

// The server: answers over HTTP.

// Executors: what they print.

/// All pipes together in one turn; then what was read is written, and signals and the websocket are looked at again.
pub const TURN_BYTES_MAX: usize = 2 << 20;
/// The same in time, for machines on which so many bytes take longer: a signal or a ping is to be heard within 10 ms.
pub const TURN_TIME_MAX: Duration = Duration::from_millis(2);

// Executors: the processes that they start.

/// Orphans that are looked at in one turn: each may cost two files of /proc, and an executor may leave behind thousands.
pub const ORPHANS_PER_TURN_MAX: usize = 64;
/// What execve(2) lets arguments and environment take together; a process may point /proc at more.
pub const ENVIRONMENT_BYTES_MAX: u64 = 6 << 20;
/// At the agent's end, until what it kills has ended: what hangs in the kernel may never.
pub const LAST_KILLS_TIME_MAX: Duration = Duration::from_secs(2);
/// Looks for processes of an agent that is gone: whoever starts new ones faster than that is not caught up with.
pub const SWEEP_TIME_MAX: Duration = Duration::from_secs(2);

// Another user of this machine, or an executor: what it does to the guard.

/// Until the guard makes room in its pipe, in which the event loop waits. It reads at once, unless it was stopped.
pub const GUARD_READ_TIME_MAX: Duration = Duration::from_millis(20);
/// Until the guard has ended after its agent, which waits for it; then it is killed.
pub const GUARD_END_TIME_MAX: Duration = Duration::from_secs(3);
const _: () = assert!(SWEEP_TIME_MAX.as_millis() < GUARD_END_TIME_MAX.as_millis(), "it ends after its last look");
/// Between two guards: whoever kills each of them costs the agent a new process so often.
pub const GUARD_PAUSE_MAX: Duration = Duration::from_secs(60);

// Delivery: one run, one server, beside others.

/// Posts that are under way at once, and workers that wait for their answers, as long as answers come soon.
pub const POSTS_AT_ONCE_MAX: usize = 4;
/// Posts that are handed out while answers are quick: with a thousand executors each post is small, and a worker that had to
/// wait for the next one to be handed out would stand still for most of the time. What is out at a stop may be sent twice.
pub const POSTS_OUT_MAX: usize = 32;
/// A post that is out for longer holds up nobody else: one worker more takes the others. Half a second leaves half a second for
/// all the rest until somebody could notice.
pub const POST_SLOW_AFTER: Duration = Duration::from_millis(500);
/// Workers of a server that lets posts hang: each costs a thread and a connection.
pub const WORKERS_MAX: usize = 16;
/// Posts to one workspace that are out at once: however it hangs, half of the workers are there for the others.
pub const POSTS_PER_WORKSPACE_MAX: usize = WORKERS_MAX / 2;

const _: () = assert!(POSTS_AT_ONCE_MAX < POSTS_PER_WORKSPACE_MAX && WORKERS_MAX <= POSTS_OUT_MAX);

// Scanned hosts: what they make a scanner print.

/// Tags of one kind, as `AGENT_CONFIG_*_TAG` has them. Every finding carries them, so they multiply what a host makes a scanner
/// find: by a few times at this, by thousands at what an environment holds.
pub const TAGS_BYTES_MAX: usize = 1024;

// Texts of others in logs, statuses and files.

/// What of a message is repeated: enough to recognize it.
pub const EXCERPT_BYTES_MAX: usize = 200;
/// Options of a RUN that nobody documents, by name in one line of the log; the others are counted. A person who mistyped one sees it.
pub const OPTIONS_NAMED_MAX: usize = 8;

// Another user of this host.

/// Links on the way to the state directory: as many as the kernel follows on one way.
pub const LINKS_MAX: usize = 40;
/// What is read for the six digits of a registration, should the file be another one by mistake.
pub const REGISTRATION_BYTES_MAX: u64 = 64;
