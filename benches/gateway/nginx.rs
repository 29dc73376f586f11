//! nginx as a plain reverse proxy: the cost of one hop that does not inspect the traffic.

use std::path::Path;

/// The configuration of nginx, for a process that stays in the foreground and keeps all its files in `directory`.
pub(crate) fn configuration(directory: &Path, port: u16, upstream: u16) -> String {
    let directory = directory.display();
    format!(
        "daemon off;
worker_processes 2;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    # A request's body stays in memory, as it does in the others.
    client_body_buffer_size 1m;
    client_max_body_size 32m;
    keepalive_requests 100000000;
    upstream scripted {{
        server 127.0.0.1:{upstream};
        keepalive 256;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://scripted;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"
    )
}
