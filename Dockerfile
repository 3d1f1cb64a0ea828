# perse-live on a CPU. Build: docker build -t perse-live .    Run: docker run -p 8080:8080 -v perse-live:/data perse-live
# Avatars, cache and settings are in the volume /data. See docs/howto/docker.md.
FROM python:3.12-slim-bookworm AS build
# Torch's CPU build is a tenth of what the default brings: give the index address of PyTorch's "Get started" page.
ARG TORCH_INDEX=""
WORKDIR /src
COPY . .
RUN python -m venv /opt/perse-live \
    && if [ -n "$TORCH_INDEX" ]; then /opt/perse-live/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch>=2.9,<2.14"; fi \
    && /opt/perse-live/bin/pip install --no-cache-dir ".[offline,export,c2pa]"
# The model files, so that a container needs no network.
ENV XDG_CACHE_HOME=/opt/perse-live/fetched
RUN /opt/perse-live/bin/python -c "from perse_live.assets import asset_path; [asset_path(n) for n in ('face_landmarker', 'selfie_segmentation', 'hand_landmarker', 'sample_portrait')]" \
    && mv /opt/perse-live/fetched/perse-live/assets /opt/perse-live/models

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home perse \
    && install -d -o perse -g perse /data
COPY --from=build /opt/perse-live /opt/perse-live
ENV PATH=/opt/perse-live/bin:$PATH \
    PERSE_LIVE_ASSETS=/opt/perse-live/models \
    XDG_CACHE_HOME=/data/cache \
    XDG_CONFIG_HOME=/data/config
USER 1000
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Any answer of the page's server counts, also that the token is missing.
HEALTHCHECK --start-period=180s --interval=10s --timeout=5s CMD ["python", "-c", "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('GET', '/'); assert c.getresponse().status < 500"]
ENTRYPOINT ["perse-live"]
CMD ["studio", "--library", "/data/library", "--no-browser", "--host", "0.0.0.0"]
