//! `vdm server start --reload`: a changed file is applied without a command.

use std::os::unix::fs::symlink;

use crate::process_control::provider;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

/// Requirement: `--reload` applies a changed file however it is replaced: by an editor, which renames a new one, or by a
/// link to another directory, as Kubernetes does. An invalid file changes nothing.
#[test]
fn changed_files_are_applied() {
    let upstream = Upstream::openai();
    for arguments in [&["--reload"][..], &["--reload", "--no-master"]] {
        let mut setup = Gateway::bare().file("one/extra.toml", "").file("two/extra.toml", "");
        for argument in arguments {
            setup = setup.argument(argument);
        }
        let gateway = setup.start();
        gateway.run.write("new.toml", &provider("renamed", &upstream, "sk-a"));
        gateway.run.rename("new.toml", "test.toml");
        gateway.run.await_log("reloaded: provider 'renamed' is new");

        gateway.run.write(".env", "ZAI_API_KEY=sk-canary\n");
        gateway.run.await_log("reloaded: provider 'zai' is new");

        gateway.run.write("one/test.toml", &provider("linked", &upstream, "sk-a"));
        gateway.run.write("two/test.toml", &provider("swapped", &upstream, "sk-a"));
        symlink("one", gateway.run.path("data")).expect("a link");
        symlink("data/test.toml", gateway.run.path("link.toml")).expect("a link");
        gateway.run.rename("link.toml", "test.toml");
        gateway.run.await_log("reloaded: provider 'linked' is new");
        symlink("two", gateway.run.path("new")).expect("a link");
        gateway.run.rename("new", "data");
        gateway.run.await_log("reloaded: provider 'swapped' is new");

        gateway.run.write("test.toml", "prot = 1\n");
        gateway.run.await_log("not reloaded, nothing has changed: ");
        assert_eq!(gateway.get("/health").status(), 200);
    }
}
