CREATE INDEX requests_session ON requests (session, ended) WHERE session <> '';
