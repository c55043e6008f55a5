package session

import (
	"strings"
	"testing"
)

// BenchmarkDecodeForms reads one command, as a script's answer or a push has it.
func BenchmarkDecodeForms(b *testing.B) {
	for name, body := range map[string]string{
		"text":   `{"to":["user:42","channel:lobby"],"except":"self","data":"` + strings.Repeat("x", 200) + `"}`,
		"object": `{"to":"channel:lobby","data":{"text":"` + strings.Repeat("x", 16<<10) + `","n":[1,2,3]}}`,
		"list":   `[` + strings.Repeat(`{"to":"user:42","data":"x"},`, 99) + `{"to":"user:42","data":"x"}]`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, _, err := Decode([]byte(body), FromAnswer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
