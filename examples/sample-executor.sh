#!/bin/sh
# An executor in plain sh: one parameter in by an environment variable, JSON documents out by stdout, words to stderr.
# Try it by hand:  EXECUTOR_CONFIG_TARGET=192.0.2 sh examples/sample-executor.sh
net=${EXECUTOR_CONFIG_TARGET:?the first three numbers of a network, such as 192.0.2}

echo "pretending to scan $net.0/24" >&2
for last in 10 20 30; do
    printf '{"hosts":[{"ip":"%s.%s","description":"","hostnames":["h%s.example"],' "$net" "$last" "$last"
    printf '"services":[{"name":"http","port":80,"protocol":"tcp","status":"open","vulnerabilities":['
    printf '{"type":"Vulnerability","name":"Directory listing","desc":"The server lists its files.","severity":"low"}]}]}]}\n'
    sleep 0.5
done
echo "done" >&2
