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

// logBurst is how many lines of one text are written each second; of further
// ones every logBurst-th is. No client can fill the disk.
const logBurst = 100

// newLogger writes to a file, in practice stderr. The level can be changed
// later.
func newLogger(cfg config.Log, to *os.File) (*zap.Logger, zap.AtomicLevel, error) {
	level, err := zap.ParseAtomicLevel(cfg.Level)
	if err != nil {
		return nil, level, fmt.Errorf("log.level: %w", err)
	}
	var encoder zapcore.Encoder
	if cfg.Format == "console" || cfg.Format == "auto" && isTerminal(to) {
		console := zap.NewDevelopmentEncoderConfig()
		console.EncodeTime = zapcore.TimeEncoderOfLayout(time.TimeOnly + ".000")
		encoder = zapcore.NewConsoleEncoder(console)
	} else {
		json := zap.NewProductionEncoderConfig()
		json.TimeKey, json.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
		json.EncodeDuration = zapcore.StringDurationEncoder
		encoder = zapcore.NewJSONEncoder(json)
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(to), level)
	core = zapcore.NewSamplerWithOptions(core, time.Second, logBurst, logBurst)
	return zap.New(core), level, nil
}

// isTerminal reports whether a person reads along.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// httpLog takes what net/http says: the mistakes of peers.
func httpLog(logger *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(logger.WithOptions(zap.WithCaller(false)), zap.DebugLevel)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return std
}
