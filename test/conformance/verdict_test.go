package conformance

// verdict is the result of a case.
type verdict int

const (
	ok            verdict = iota // what RFC 6455 asks for, in its best form
	informational                // the RFC leaves the choice
	nonStrict                    // allowed, but later or less clear than it could be
	unimplemented                // the case is about a form of an extension that wsfpm does not have
	failed                       // against the RFC
	verdicts      = iota
)

// String is the verdict as the report has it.
func (v verdict) String() string {
	return [...]string{"OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "FAILED"}[v]
}

// result is a verdict and, when it is not ok, the reason.
type result struct {
	verdict verdict
	why     string
}
