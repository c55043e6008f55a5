-- nginx + Lua: a coroutine serves each WebSocket connection, and each message
-- is a subrequest to PHP whose answer goes back to the client.
local server = require "nginx.websocket.server" -- so Debian names resty.websocket.server

local socket, err = server:new { timeout = 25000, max_payload_len = 65535 }
if not socket then
    ngx.log(ngx.ERR, "handshake: ", err)
    return ngx.exit(444)
end
while true do
    local data, kind, err = socket:recv_frame()
    local sent = true
    if kind == "text" then
        local answer = ngx.location.capture("/php", { method = ngx.HTTP_POST, body = data })
        sent = answer.status == 200 and socket:send_text(answer.body)
    elseif kind == "ping" then
        sent = socket:send_pong(data)
    elseif kind == "close" then
        socket:send_close(1000, "")
        return
    elseif not data and err:find("timeout", 1, true) then
        sent = socket:send_ping()
    elseif not data then
        return ngx.exit(444)
    end
    if not sent then
        return ngx.exit(444)
    end
end
