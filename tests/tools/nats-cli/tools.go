// Pins the nats command that tests drive: go.mod names its version, go.sum the hash of every source.

//go:build tools

package tools

import _ "github.com/nats-io/natscli/nats"
