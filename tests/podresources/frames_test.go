// SPDX-License-Identifier: Apache-2.0

package podresources

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// One connection of the agent, frame by frame. What writing to it says is left to the agent, which may have gone.
type wire struct {
	*http2.Framer
	conn   net.Conn
	head   bytes.Buffer
	hpack  *hpack.Encoder
	stream uint32
}

func (w *wire) block(fields ...string) []byte {
	w.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = w.hpack.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return w.head.Bytes()
}

func (w *wire) headers(end bool, fields ...string) {
	_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: w.stream, BlockFragment: w.block(fields...), EndHeaders: true, EndStream: end})
}

func (w *wire) begin()   { w.headers(false, ":status", "200", "content-type", "application/grpc") }
func (w *wire) succeed() { w.headers(true, "grpc-status", "0", "grpc-message", "") }

// question reads up to the end of a request and returns its path; "" when the agent has gone.
func (w *wire) question() (path string) {
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		if f.Name == ":path" {
			path = f.Value
		}
	})
	for {
		frame, err := w.ReadFrame()
		if err != nil {
			return ""
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = w.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			w.stream = f.StreamID
			_, _ = decoder.Write(f.HeaderBlockFragment())
		case *http2.DataFrame:
			if f.StreamEnded() {
				return path
			}
		}
	}
}

// A server that leaves each request to `answer`, which gets the framed message that is the right one.
func frames(t *testing.T, socket string, m *managers, answer func(w *wire, message []byte)) {
	t.Helper()
	a, l := said(t, m.service())
	messages := map[string]proto.Message{"/v1.PodResourcesLister/GetAllocatableResources": a, "/v1.PodResourcesLister/List": l}
	listener := listen(t, socket)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
					return
				}
				w := &wire{Framer: http2.NewFramer(conn, conn), conn: conn}
				w.hpack = hpack.NewEncoder(&w.head)
				_ = w.WriteSettings()
				for path := w.question(); path != ""; path = w.question() {
					text, _ := proto.Marshal(messages[path])
					answer(w, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...))
				}
			}()
		}
	}()
}

// What the protocol allows is understood, however unusual.
func TestUnusualFrames(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w *wire, message []byte){
		"a byte each": func(w *wire, message []byte) {
			w.begin()
			for i := range message {
				_ = w.WriteData(w.stream, false, message[i:i+1])
			}
			w.succeed()
		},
		"padding, empty frames, a ping and new settings": func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, false, nil)
			_ = w.WriteDataPadded(w.stream, false, message[:3], make([]byte, 200))
			_ = w.WritePing(false, [8]byte{1})
			_ = w.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
			_ = w.WriteDataPadded(w.stream, false, message[3:], make([]byte, 255))
			_ = w.WriteData(w.stream, false, nil)
			w.succeed()
		},
		"headers in three frames, and an informational response": func(w *wire, message []byte) {
			w.headers(false, ":status", "103", "link", "</>")
			b := bytes.Clone(w.block(":status", "200", "content-type", "application/grpc", "x-more", "y"))
			_ = w.WriteHeaders(http2.HeadersFrameParam{StreamID: w.stream, BlockFragment: b[:1]})
			_ = w.WriteContinuation(w.stream, false, b[1:4])
			_ = w.WriteContinuation(w.stream, true, b[4:])
			_ = w.WriteData(w.stream, false, message)
			w.succeed()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, socket := kubeletDir(t)
			m := fourZones()
			m.add("ml", "a", held{cpus: []int64{5}, devices: devices(gpu, []int64{1}, "GPU-1-a")})
			frames(t, socket, m, answer)
			publishes(t, dir, socket, m)
		})
	}
}

// A server that announces its end while it answers: curl 7.88 then loses the trailers that come with that, newer ones do not.
func TestGoAwayWithinAnAnswer(t *testing.T) {
	t.Parallel()
	dir, socket := kubeletDir(t)
	m := fourZones()
	m.add("ml", "a", held{cpus: []int64{5}, devices: devices(gpu, []int64{1}, "GPU-1-a")})
	frames(t, socket, m, func(w *wire, message []byte) {
		w.begin()
		_ = w.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
		_ = w.WriteData(w.stream, false, message)
		_ = w.WriteGoAway(w.stream, http2.ErrCodeNo, []byte("bye"))
		w.succeed()
	})
	allOrNothing(t, dir, socket, m)
}

// Half an answer is none.
func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]struct {
		answer func(w *wire, message []byte)
		why    string
	}{
		"reset before": {func(w *wire, _ []byte) { _ = w.WriteRSTStream(w.stream, http2.ErrCodeInternal) }, ""},
		"reset within": {func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, false, message[:len(message)-1])
			_ = w.WriteRSTStream(w.stream, http2.ErrCodeCancel)
		}, ""},
		"reset after all but the status": {func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, false, message)
			_ = w.WriteRSTStream(w.stream, http2.ErrCodeNo)
		}, ""},
		"goes without an answer": {func(w *wire, _ []byte) {
			_ = w.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
			_ = w.conn.Close()
		}, ""},
		"breaks off within": {func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, false, message[:len(message)/2])
			_ = w.conn.Close()
		}, ""},
		"ends without a status": {func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, true, message)
		}, "an answer without grpc-status"},
		"ends within the message": {func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, false, message[:len(message)-1])
			w.succeed()
		}, "a message of "},
		"a status without a message": {func(w *wire, _ []byte) {
			w.headers(true, ":status", "200", "content-type", "application/grpc", "grpc-status", "0")
		}, "no message in the answer"},
		"is a web server": {func(w *wire, _ []byte) {
			w.headers(false, ":status", "404", "content-type", "text/html")
			_ = w.WriteData(w.stream, true, []byte("not found"))
		}, "HTTP 404, which is no answer of gRPC"},
		"is compressed": {func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, false, append([]byte{1}, message[1:]...))
			w.succeed()
		}, "the answer is compressed"},
		"no protobuf": {func(w *wire, message []byte) {
			w.begin()
			_ = w.WriteData(w.stream, false, append(bytes.Clone(message[:5]), bytes.Repeat([]byte{0xff}, len(message)-5)...))
			w.succeed()
		}, ""},
		"a frame that is none": {func(w *wire, _ []byte) { _ = w.WriteRawFrame(http2.FrameSettings, 0, w.stream, []byte{1, 2, 3}) }, ""},
		"no HTTP/2":            {func(w *wire, _ []byte) { _, _ = w.conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); _ = w.conn.Close() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, socket := kubeletDir(t)
			m := fourZones()
			m.add("ml", "a", held{cpus: []int64{5}})
			frames(t, socket, m, broken.answer)
			leavesOut(t, dir, socket, broken.why)
		})
	}
}
