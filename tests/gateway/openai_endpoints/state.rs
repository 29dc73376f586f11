//! Endpoints that would require a memory: kept responses, conversations, files and the like.

use crate::support::chat::Error;
use crate::support::gateway::Gateway;

/// Requirement: a clear 404 in OpenAI's shape says that this gateway keeps no responses.
#[test]
fn no_response_and_no_conversation_is_kept() {
    let gateway = Gateway::bare().start();
    for (method, path) in [
        ("GET", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items?limit=1"),
        ("POST", "/v1/conversations"),
        ("GET", "/v1/conversations/conv_1/items"),
        ("GET", "/responses/resp_1"),
    ] {
        let reply = gateway.call(method, path).reply();
        assert_eq!((reply.status(), reply.header("x-should-retry")), (404, Some("false")), "{path}: {reply}");
        let message = Error::of(&reply).message;
        assert!(
            message.contains("keeps no responses") && message.contains("POST /v1/responses"),
            "{message}"
        );
    }
    for path in ["/v1/files", "/v1/batches", "/v1/threads/t/messages", "/v1/fine_tuning/jobs"] {
        let reply = gateway.call("POST", path).reply();
        assert_eq!(reply.status(), 404, "{path}");
        assert!(reply.raw().contains("the base URL is"), "{reply}");
    }
}
