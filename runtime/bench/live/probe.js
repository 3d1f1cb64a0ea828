/* Runs in the live page beside it: notes which picture is on the canvas when, and when the camera's picture changes. */

(() => {
  const BITS = 16, CELL = 8, SIDE = 24, MARK = 16;
  const wall = (time) => (performance.timeOrigin + time) / 1000; // seconds since 1970, as the server's clock on this machine

  const stamp = new OffscreenCanvas(BITS * CELL, 2 * CELL).getContext("2d", { willReadFrequently: true, alpha: false });
  const small = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true, alpha: false });
  const bench = { shown: [], pictures: [], keys: [], marks: [], corners: [], looksAtPicture: false, problem: "" };
  window.perseBench = bench;

  function numberIn({ data }) {
    let number = 0;
    for (let bit = 0; bit < BITS; bit += 1) {
      const x = bit * CELL + CELL / 2;
      const above = data[4 * (CELL / 2 * BITS * CELL + x) + 1] > 128;
      const below = data[4 * (3 * CELL / 2 * BITS * CELL + x) + 1] > 128;
      if (above === below) return -1;
      if (above) number += 2 ** bit;
    }
    return number;
  }

  function follow(video) {
    const look = (_, { receiveTime, processingDuration }) => {
      video.requestVideoFrameCallback(look);
      stamp.drawImage(video, 0, 0, BITS * CELL, 2 * CELL, 0, 0, BITS * CELL, 2 * CELL);
      const number = numberIn(stamp.getImageData(0, 0, BITS * CELL, 2 * CELL));
      const time = wall(performance.now());
      bench.shown.push([number, time, receiveTime ? wall(receiveTime) : 0, processingDuration ?? 0]);
      if (!bench.looksAtPicture) return;
      // the upper right corner, where nothing but the background is
      small.drawImage(video, 0, 0, video.videoWidth, video.videoHeight, 0, 0, SIDE, SIDE);
      const { data } = small.getImageData(0, 0, SIDE, SIDE);
      const grey = [];
      for (let i = 0; i < data.length; i += 4) grey.push(data[i + 1]);
      const at = 4 * (SIDE - 2 + SIDE);
      bench.pictures.push([time, data[at], data[at + 1], data[at + 2], bench.keepsPictures ? grey : []]);
    };
    video.requestVideoFrameCallback(look);
  }

  document.addEventListener("keydown", (event) => bench.keys.push(wall(event.timeStamp)), { capture: true });
  addEventListener("DOMContentLoaded", () => follow(document.getElementById("video")));

  const media = navigator.mediaDevices;
  if (!media) return;
  const ask = media.getUserMedia.bind(media);
  media.getUserMedia = async (wishes) => {
    const stream = await ask(wishes);
    void readMarks(stream.getVideoTracks()[0].clone()).catch((error) => { bench.problem = String(error); });
    return stream;
  };

  /** The film that stands for the camera is black or white in its upper left corner; the page never shows it. */
  async function readMarks(track) {
    const pictures = new MediaStreamTrackProcessor({ track, maxBufferSize: 1 }).readable.getReader();
    const rect = { x: 0, y: 0, width: MARK, height: MARK };
    let before = null;
    for (;;) {
      const { value: picture, done } = await pictures.read();
      if (done) return;
      const time = wall(performance.now());
      const bytes = new Uint8Array(picture.allocationSize({ rect }));
      await picture.copyTo(bytes, { rect });
      picture.close();
      const white = bytes[MARK * MARK / 2 + MARK / 2] > 128;
      if (before !== null && white !== before) bench.marks.push(time);
      before = white;
    }
  }
})();
