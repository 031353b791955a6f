//! The meeting point of devices and viewers: HTTP, WebSocket, tokens, the viewer page. Knows no media.
