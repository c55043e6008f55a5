package main

// goal is a promise that is held by tests, with a figure to reach.
type goal struct {
	number  string
	promise string
	target  string // the figure to reach
	tests   []string
	command string
	// sign finds the figure in what a test writes; its first group is it.
	sign string
	// bench are the beginnings of the names of the benchmark's targets.
	bench []string
	// conformance takes the figure from build/conformance.md.
	conformance bool
	// race is held by all tests: none may report a data race.
	race bool
	// later says why there is no test yet.
	later string
}

// goals are all goals, in their order. A test is PACKAGE.NAME; one that
// measures writes its figure to build/goals. A test of `make soak`, which
// judges time or memory against the machine or takes long, is named TestSoak….
func goals() []goal {
	return []goal{
		{number: "G1", promise: "the server conforms to RFC 6455", target: "517 cases, 0 failed, at most 36 unimplemented",
			tests: []string{"test/conformance.TestMatrixIsWhole", "test/conformance.TestConformance"}, command: "go test ./test/conformance", conformance: true},
		{number: "G2", promise: "no acknowledged push is lost over restarts and reconnects", target: "0 lost, 0 twice",
			tests:   []string{"test/faults.TestFaultsOfTheLog", "session.TestNoOrderOfStepsLosesOrRepeatsAnEntry", "gateway/delivery.TestEveryEntryOfTheLogArrivesOnceAndInOrder"},
			command: "make faults"},
		{number: "G3", promise: "a loss is always announced", target: "every gap",
			tests: []string{"test/faults.TestFaultsOfTheLog", "session.TestNoOrderOfStepsLosesOrRepeatsAnEntry"}, command: "make faults"},
		{number: "G4", promise: "no client gets another's data", target: "0 in 10⁶ events under faults",
			tests: []string{"test/faults.TestFaults", "fcgi.TestInterruptEndsItsOwnUseOnly", "fcgi.TestConnectionThatTheServerClosedIsNotUsed"}, command: "WSFPM_INTEGRATION=1 go test -run TestFaults ./test/faults"},
		{number: "G5", promise: "a cut or failed answer of PHP-FPM is never delivered as a good one", target: "cut at every byte, all detected",
			tests:   []string{"fcgi.TestAnswerCutAtAnyByteIsAnError", "fcgi.FuzzResponse", "test/fpm.TestAnAnswerToAMessageIsCutAtEveryByte", "test/fpm.TestAnAnswerToConnectIsCutAtEveryByte"},
			command: "WSFPM_INTEGRATION=1 go test -run Cut ./fcgi ./test/fpm"},
		{number: "G6", promise: "PHP never runs an event twice", target: "0 under faults",
			tests: []string{"test/faults.TestFaults", "fcgi.TestSentIsNeverSentAgain", "fcgi.TestNothingSentIsSentAgainOnce"}, command: "WSFPM_INTEGRATION=1 go test -run TestFaults ./test/faults"},
		{number: "G7", promise: "a graceful restart", target: "10,000 clients: 0 handlers lost, every close 1012, within 35 s, all back within 5 s",
			tests: []string{"test/load.TestARestartLosesNoHandlerAndNoClient", "test/load.TestARollingRestartLosesNoMessage",
				"test/load.TestSoakARestartWithTenThousandClients", "test/load.TestSoakARollingRestartUnderTheChat"}, command: "make soak SOAK=Restart"},
		{number: "G8", promise: "slow readers do not affect other clients", target: "the others' p99 at most 10 % longer, 4408 after 10 s, 1 MiB each",
			tests: []string{"test/load.TestReadersHearEverythingBesideStalledOnes", "test/load.TestSoakAThousandStalledReadersOfTenThousand"}, command: "make soak SOAK=Stalled"},
		{number: "G9", promise: "no leaks", target: "goroutines, descriptors and heap as before, within 2 %",
			tests: []string{"test/load.TestAShortTimeOfComingAndGoingLeavesNothingBehind", "test/load.TestSoakComingAndGoingLeavesNothingBehind"}, command: "make soak SOAK=Leaves"},
		{number: "G10", promise: "memory of an idle connection", target: "at most 12 KiB",
			tests: []string{"gateway/ws.TestParkedConnectionsNeedNoGoroutines"}, command: "make bench", bench: []string{"memory of an idle connection", "memory of a connection"}},
		{number: "G11", promise: "low overhead over PHP's own time", target: "p50 at most 0.10 ms; 15,000 messages a second on two cores",
			command: "make bench", bench: []string{"a message of one client", "messages through PHP and back"}},
		{number: "G12", promise: "an outage of Redis fails no event", target: "0 failed events; pushes again within 2 s",
			tests: []string{"test/redis.TestFaultsOfRedisCostNoReply", "test/redis.TestGreenMeansEveryName", "test/faults.TestFaults"}, command: "WSFPM_INTEGRATION=1 go test ./test/redis ./test/faults"},
		{number: "G13", promise: "an overload of PHP-FPM is contained", target: "5 times the capacity: busy within 1.1 s, no growth, recovery within 2 s",
			tests: []string{"test/fpm.TestOverloadIsBounded", "test/load.TestSoakFiveTimesTheCapacity"}, command: "make soak SOAK=Capacity"},
		{number: "G14", promise: "hostile input never panics", target: "10⁸ executions, 0 crashes; wsfpm_panics_total 0 in every test",
			tests: []string{"gateway.FuzzRequest", "gateway/ws.FuzzClient", "fcgi.FuzzResponse", "gateway/answer.FuzzParse", "session.FuzzDecode", "gateway/config.FuzzLoad", "gateway/admin.FuzzGuard",
				"test/stack.TestASurvivedPanicFailsTheTest"}, command: "make fuzz FUZZTIME=5m"},
		{number: "G15", promise: "clients cannot forge the variables that PHP gets", target: "200 of 200 sets by each way",
			tests: []string{"test/headers.TestNothingIsForged"}, command: "WSFPM_INTEGRATION=1 go test ./test/headers"},
		{number: "G16", promise: "a foreign page cannot open a visitor's socket", target: "every foreign origin 403",
			tests: []string{"test/browser.TestForeignPagesAreRefused"}, command: "WSFPM_INTEGRATION=1 go test -run Foreign ./test/browser"},
		{number: "G17", promise: "the service has no privilege", target: "systemd-analyze security at most 2.0, no capability",
			tests: []string{"test/deploy.TestServiceIsHardened", "test/deploy.TestServiceHasNoPrivilege"}, command: "WSFPM_INTEGRATION=1 go test -run Service ./test/deploy", sign: `(exposure level [0-9.]+)`},
		{number: "G18", promise: "builds are reproducible from the repository", target: "go mod verify; identical builds; 0 vulnerabilities reached",
			tests:   []string{"test/report.TestModulesAreThoseThatGoSumNames", "test/report.TestSoakSupplyChain", "test/release.TestSoakRelease"},
			command: "make soak SOAK=SupplyChain; make soak SOAK=^Release"},
		{number: "G19", promise: "no data race", target: "0 in all tests, packages and binary built with -race", race: true, command: "make test"},
		{number: "G20", promise: "two versions side by side", target: "0 lost",
			later: "by hand, before a release: WSFPM_OTHER_BINARY=former/wsfpm WSFPM_INTEGRATION=1 go test ./test/redis"},
		{number: "G21", promise: "each connection gets one disconnect event, and presence is right", target: "0 lost or twice when nodes die; presence within 60 s",
			tests: []string{"test/faults.TestFaultsOfTheLog", "test/redis.TestTheConnectionsOfAKilledNodeAreDisconnectedOnce"}, command: "make faults"},
		{number: "G22", promise: "a dead node's clients resume at another", target: "10,000 clients: 0 messages lost, twice or out of order; each has them within 5 s of its handshake's answer",
			tests: []string{"test/load.TestADeadNodesClientsMissNothing", "test/load.TestSoakADeadNodesTenThousandClients"}, command: "make soak SOAK=DeadNode"},
	}
}
