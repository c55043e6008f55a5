package fcgi

import "encoding/binary"

// recordType is the type octet of a record (FastCGI specification, 8).
type recordType uint8

const (
	typeBegin     recordType = 1
	typeAbort     recordType = 2
	typeEnd       recordType = 3
	typeParams    recordType = 4
	typeStdin     recordType = 5
	typeStdout    recordType = 6
	typeStderr    recordType = 7
	typeData      recordType = 8
	typeGetValues recordType = 9
	typeValues    recordType = 10 // FCGI_GET_VALUES_RESULT
	typeUnknown   recordType = 11 // FCGI_UNKNOWN_TYPE
)

const (
	recordVersion = 1
	recordHeader  = 8 // bytes before a record's content
	roleResponder = 1
	flagKeep      = 1 // FCGI_KEEP_CONN

	// requestID is the only id in use: PHP-FPM runs one request at a time on a
	// connection and does not look at ids.
	requestID = 1

	// maxContent bounds the content of a record that we send. PHP refuses a PARAMS
	// record whose length and padding exceed 65,535; this is the largest multiple of
	// eight, so that no record needs padding.
	maxContent = 65528
)

// Protocol status of END_REQUEST (FastCGI specification, 5.5).
const (
	statusComplete   = 0
	statusCannotMPX  = 1
	statusOverloaded = 2
	statusBadRole    = 3
)

// probe is a FCGI_GET_VALUES record for FCGI_MPXS_CONNS. The value is irrelevant; a
// reply proves that the worker is back in its accept loop.
const probe = "\x01\x09\x00\x00\x00\x11\x07\x00" +
	"\x0f\x00FCGI_MPXS_CONNS" +
	"\x00\x00\x00\x00\x00\x00\x00"

// appendRecordHeader appends the header of a record of this request.
func appendRecordHeader(b []byte, t recordType, length int) []byte {
	return append(b, recordVersion, byte(t), 0, requestID, byte(length>>8), byte(length), 0, 0)
}

// setRecordLength sets the length in the record header at b[0].
func setRecordLength(b []byte, length int) {
	binary.BigEndian.PutUint16(b[4:], uint16(length))
}
