// Package redistest tests what wsfpm promises about Redis, with the real
// binary, real Redis servers and several nodes: that a push after the reply
// arrives, that faults of Redis cost no reply, the order of pushes, what
// PUBLISH counts, Cluster and Sentinel, TLS, and the death of a node.
//
// Reading order: setup_test.go (nodes, clients, publishers), promise_test.go,
// faults_test.go, order_test.go, doors_test.go, group_test.go, kinds_test.go,
// stored_kinds_test.go, sentinels_test.go, tls_test.go, embedded_test.go, node_test.go,
// registry_test.go, registry_cut_test.go, full_test.go, versions_test.go. It
// runs with WSFPM_INTEGRATION=1; WSFPM_LONG=1 makes the promise ten times as many tries.
package redistest
