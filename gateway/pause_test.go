package gateway

import (
	"runtime"
	"testing"
	"time"
)

// A pause is as long as asked for, whatever interrupts it.
func TestAPauseLastsThroughCollections(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	var p pauses
	for range 5 {
		const d = 10 * time.Millisecond
		began := time.Now()
		p.wait(d)
		if took := time.Since(began); took < d {
			t.Fatalf("a pause of %v was over after %v", d, took)
		}
	}
}

// A process that uses its processors, or has one only, keeps none occupied.
func TestAPauseOccupiesAProcessorOnlyWhenThereIsTimeToSpare(t *testing.T) {
	var p pauses
	p.spare(1)
	for began := time.Now(); time.Since(began) < time.Millisecond; { // uses this process's time
	}
	if p.spare(0) {
		t.Error("there is time to spare beside no processor")
	}
	if p.spare(0) {
		t.Error("there is time to spare beside no processor, in a short time")
	}
	if !p.spare(1000) {
		t.Error("there is no time to spare on a thousand processors")
	}
}
