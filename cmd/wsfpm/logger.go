package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"wsfpm/gateway/config"
)

// logBurst is the number of lines with one message written each second; of the rest
// every logBurst-th is, so that no client can fill the disk.
const logBurst = 100

// logFlush bounds the wait for the reader of the log when the process exits.
const logFlush = time.Second

// journal is the process's log. Its lines go through a [lineWriter], so that
// logging never makes a client, an event or a signal wait.
type journal struct {
	log   *zap.Logger
	level zap.AtomicLevel // changed by a reload
	lines *lineWriter
}

// openJournal logs to a file: stderr, or a pipe in tests. Close ends it.
func openJournal(cfg config.Log, to *os.File) (*journal, error) {
	level, err := zap.ParseAtomicLevel(cfg.Level)
	if err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	encoder := newEncoder(cfg.Format == "console" || cfg.Format == "auto" && isTerminal(to))
	lines := newLineWriter(to, logBuffer, func(missing int64) []byte { return droppedNotice(encoder, missing) })
	core := zapcore.NewCore(encoder, lines, level)
	core = zapcore.NewSamplerWithOptions(core, time.Second, logBurst, logBurst)
	return &journal{zap.New(core), level, lines}, nil
}

// Close flushes pending lines, for logFlush at most.
func (j *journal) Close() { j.lines.Close(logFlush) }

func newEncoder(console bool) zapcore.Encoder {
	if console {
		cfg := zap.NewDevelopmentEncoderConfig()
		cfg.EncodeTime = zapcore.TimeEncoderOfLayout(time.TimeOnly + ".000")
		return zapcore.NewConsoleEncoder(cfg)
	}
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey, cfg.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.StringDurationEncoder
	return zapcore.NewJSONEncoder(cfg)
}

// droppedNotice returns the line that marks a gap.
func droppedNotice(encoder zapcore.Encoder, missing int64) []byte {
	entry := zapcore.Entry{Level: zap.WarnLevel, Time: time.Now(),
		Message: "log lines were dropped: the reader of the log is too slow or gone"}
	line, err := encoder.EncodeEntry(entry, []zapcore.Field{zap.Int64("lines", missing)})
	if err != nil {
		return nil // cannot happen: all parts are constants
	}
	defer line.Free()
	return append([]byte(nil), line.Bytes()...)
}

// isTerminal reports whether f is a terminal.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}

// hasColor reports whether what is written to f may have colours (no-color.org).
func hasColor(f *os.File) bool { return isTerminal(f) && os.Getenv("NO_COLOR") == "" }

// httpLog logs net/http's messages, which are about mistakes of peers, at debug level.
func httpLog(logger *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(logger.WithOptions(zap.WithCaller(false)), zap.DebugLevel)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return std
}
