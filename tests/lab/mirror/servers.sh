# shellcheck shell=bash
# The mirror's two servers, nginx and docker-registry, with configurations, logs and pid files of their own in the cache,
# on the loopback interface only. Sourced by `up` and `down`. NAME is nginx or registry.

SERVERS=$CACHE/servers

# server_pid NAME: the pid of our server, if the process that has it really is our server.
server_pid() {
  local name=$1 pid command
  pid=$(cat "$SERVERS/$name.pid" 2>/dev/null) || return 1
  [[ $pid =~ ^[0-9]+$ && -r /proc/$pid/cmdline ]] || return 1
  command=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  case $name in
    nginx) [[ $command == *nginx*" $SERVERS/nginx.conf"* ]] ;;
    registry) [[ $command == *docker-registry\ serve\ "$SERVERS/registry.conf "* ]] ;;
  esac || return 1
  printf '%s\n' "$pid"
}

server_stop() {
  local name=$1 pid tries
  pid=$(server_pid "$name") || return 0
  say "stopping $name ($pid)"
  kill "$pid"
  for ((tries = 0; tries < 100; tries++)); do
    server_pid "$name" >/dev/null || break
    sleep 0.1
  done
  if server_pid "$name" >/dev/null; then kill -KILL "$pid"; fi
  rm -f "$SERVERS/$name.pid"
}

# server_start NAME PORT PATH: with the configuration on standard input; returns when PATH is answered. Nothing happens
# when it runs with this very configuration.
server_start() {
  local name=$1 port=$2 url=http://127.0.0.1:$2$3 config=$SERVERS/$1.conf tries
  mkdir -p "$SERVERS/temp"
  cat >"$config.new"
  if server_pid "$name" >/dev/null; then
    cmp -s "$config.new" "$config" && return 0
    server_stop "$name"
  fi
  # Without this, a stranger's answer could be taken for our server's.
  if (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
    die "another process already listens on 127.0.0.1:$port: stop it, or choose another port for $name (see README.md)"
  fi
  mv "$config.new" "$config"
  say "starting $name"
  rm -f "$SERVERS/$name.pid"
  "${name}_run" "$config" || die "$name does not start; its log is $SERVERS/$name.log"
  # A server that has just been forked may not have its own name, or a pid file, yet: only a vanished one is a failure.
  for ((tries = 0; tries < 300; tries++)); do
    [[ ! -s $SERVERS/$name.pid || -e /proc/$(cat "$SERVERS/$name.pid") ]] || break
    curl -fsS -o /dev/null --max-time 2 "$url" 2>/dev/null && return 0
    sleep 0.1
  done
  tail -n 5 "$SERVERS/$name.log" >&2
  die "$name does not answer at $url; its log is $SERVERS/$name.log"
}

# Neither server may keep the lock of `up` (file descriptor 9) open.
nginx_run() {
  nginx -p "$SERVERS" -e "$SERVERS/nginx.log" -c "$1" </dev/null 9>&- >&2
}

registry_run() {
  setsid docker-registry serve "$1" </dev/null >"$SERVERS/registry.log" 2>&1 9>&- &
  echo $! >"$SERVERS/registry.pid"
}

# The workers stay root, since the cache may lie where only root can look (a test's own temporary directory, say).
nginx_config() {
  cat <<END
user root;
worker_processes 1;
pid $SERVERS/nginx.pid;
error_log $SERVERS/nginx.log;
events { worker_connections 256; }
http {
  default_type application/octet-stream;
  access_log $SERVERS/nginx-access.log;
  client_body_temp_path $SERVERS/temp/body;
  proxy_temp_path $SERVERS/temp/proxy;
  fastcgi_temp_path $SERVERS/temp/fastcgi;
  uwsgi_temp_path $SERVERS/temp/uwsgi;
  scgi_temp_path $SERVERS/temp/scgi;
  server {
    listen 127.0.0.1:$HTTP_PORT;
    root $CACHE/root;
    autoindex on;
  }
}
END
}

registry_config() {
  cat <<END
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: $CACHE/registry}
http:
  addr: 127.0.0.1:$REGISTRY_PORT
  secret: khimg-lab
END
}
