# Sourced by up, down, ctl and smoke, which have set DIR. Owns how one service is started, known to be ready, and
# stopped. Touches no process that it has no pid file of.

case $DIR in
*[!A-Za-z0-9/._-]*) echo "real-server: only letters, digits and /._- may stand in $DIR" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
cache=${FARADAY_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/faraday-agent-tests}
services='postgres redis server5 worker5 server4'
ready_seconds_max=120
stop_seconds_max=30
# PostgreSQL refuses to run as root.
as_postgres=
[ "$(id -u)" != 0 ] || as_postgres='setpriv --reuid=postgres --regid=postgres --clear-groups'
# The caller's folder may be closed to the user postgres.
cd /

fail() {
    echo "real-server: $*" >&2
    exit 1
}

# Names the step that is running, so that an end by set -e can tell where it came from.
begin() {
    step=$1
    log=$DIR/logs/$1.log
    trap 'report $?' EXIT
}

report() {
    [ "$1" != 0 ] || return 0
    echo "real-server: failed: $step; $log ends with:" >&2
    tail -n 25 "$log" >&2
}

load_settings() {
    [ -e "$DIR/settings" ] || fail "$DIR holds no servers: run up first"
    . "$DIR/settings"
}

# Not date: a virtual machine's clock may jump.
seconds() { cut -d. -f1 /proc/uptime; }

postgres_bin() { ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1; }

redis() { REDISCLI_AUTH=$PASSWORD redis-cli -h 127.0.0.1 -p "$REDIS_PORT" "$@" 2>/dev/null; }

answers() { curl -s -f -o /dev/null --noproxy '*' --max-time 5 "$1"; }

# SERVER COMMAND...: the dead proxy keeps Faraday's licence check from calling home.
at_home() (
    export FARADAY_HOME="$DIR/$1" https_proxy=http://127.0.0.1:9
    shift
    "$@"
)

# NAME COMMAND...: as the leader of a session, which is how a pid file is told from one whose pid is another's by now.
launch() {
    pid_file=$DIR/pids/$1
    log_file=$DIR/logs/$1.log
    shift
    rm -f "$pid_file"
    setsid -f sh -c 'echo $$ >"$0"; exec "$@"' "$pid_file" "$@" </dev/null >>"$log_file" 2>&1
    until [ -s "$pid_file" ]; do sleep 0.01; done
}

# LEADER: the living of its session, and its children: PostgreSQL's leave the session.
members() {
    cat /proc/[0-9]*/stat 2>/dev/null |
        sed -n "s/^\([0-9]*\) (.*) [^ZX] \($1 [0-9]* [0-9]*\|[0-9]* [0-9]* $1\) .*/\1/p"
}

# PID...: those that live. Zombies do not: nobody may be there to reap them.
living() {
    for pid; do
        sed -n 's/^\([0-9]*\) (.*) [^ZX] .*/\1/p' "/proc/$pid/stat" 2>/dev/null || true
    done
}

alive() {
    [ -s "$DIR/pids/$1" ] && members "$(cat "$DIR/pids/$1")" | grep -q -x -f "$DIR/pids/$1"
}

start() {
    ! alive "$1" || return 0
    case $1 in
    postgres)
        # A killed server leaves its lock file, whose pid may still be an unreaped zombie's.
        rm -f "$DIR/postgres/postmaster.pid"
        launch postgres $as_postgres "$(postgres_bin)/postgres" -D "$DIR/postgres"
        ;;
    redis) launch redis redis-server "$DIR/redis.conf" ;;
    server5) at_home server5 launch server5 "$cache/faraday-5.25.2/bin/faraday-server" ;;
    worker5) at_home server5 launch worker5 "$cache/faraday-5.25.2/bin/faraday-worker" --concurrency 1 ;;
    server4) at_home server4 launch server4 "$cache/faraday-4.6.2/bin/faraday-server" ;;
    esac
}

ready() {
    case $1 in
    postgres) "$(postgres_bin)/pg_isready" -q -h 127.0.0.1 -p "$POSTGRES_PORT" ;;
    redis) [ "$(redis ping)" = PONG ] ;;
    server5) answers "http://127.0.0.1:$SERVER5_PORT/_api/config" ;;
    # A worker is ready once it waits at the queue.
    worker5) redis client list | grep -q ' cmd=brpop ' ;;
    server4) answers "http://127.0.0.1:$SERVER4_PORT/_api/v3/info" && answers "http://127.0.0.1:$SERVER4_WS_PORT/" ;;
    esac
}

await() {
    begin "$1"
    deadline=$(($(seconds) + ready_seconds_max))
    until ready "$1"; do
        alive "$1" || fail "$1 has ended"
        [ "$(seconds)" -lt "$deadline" ] || fail "$1 is not ready after $ready_seconds_max s"
        sleep 0.1
    done
}

# NAME SIGNAL: returns when every process of the service is gone. KILL strikes all of them at once.
stop() {
    if alive "$1"; then
        leader=$(cat "$DIR/pids/$1")
        pids=$(members "$leader")
        deadline=$(($(seconds) + stop_seconds_max))
        case $2 in
        KILL) kill -KILL $pids || true ;;
        *) kill "-$2" "$leader" ;;
        esac
        while pids=$(living $pids) && [ -n "$pids" ]; do
            [ "$(seconds)" -lt "$deadline" ] || kill -KILL $pids || true
            sleep 0.05
        done
    fi
    rm -f "$DIR/pids/$1"
}

# INT is PostgreSQL's word for a stop that does not wait for its clients.
stop_gently() {
    case $1 in
    postgres) stop postgres INT ;;
    *) stop "$1" TERM ;;
    esac
}

stop_all() {
    for name in server4 worker5 server5 redis postgres; do stop_gently "$name"; done
}
