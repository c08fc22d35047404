{{- define "alertbridge.name" -}}
{{- if contains "alertbridge" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-alertbridge{{ end }}
{{- end }}

{{- define "alertbridge.selector" -}}
app.kubernetes.io/name: alertbridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "alertbridge.labels" -}}
{{ include "alertbridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Whether the store is PostgreSQL. A `url_file` means PostgreSQL: it protects a password, and SQLite has none. */}}
{{- define "alertbridge.postgres" -}}
{{- $store := .Values.config.store | default dict }}
{{- if or (hasKey $store "url_file") (regexMatch "^postgres(ql)?://" (toString $store.url)) }}true{{ end }}
{{- end }}

{{/* The port of a listener. Nobody can reach a loopback address in a pod, and a port below 1024 needs a privilege. */}}
{{- define "alertbridge.port" -}}
{{- if regexMatch "^(127\\.|localhost|\\[::1\\])" .listen }}
{{- fail (printf "config.%s: a pod's %s is reached by nobody; listen on 0.0.0.0" .key .listen) }}
{{- end }}
{{- $port := regexFind "[0-9]+$" .listen }}
{{- if lt (int $port) 1024 }}
{{- fail (printf "config.%s: port %s needs a privilege; listen on 2525, say, and give the service its port in service.ports" .key $port) }}
{{- end }}
{{- $port }}
{{- end }}

{{/* The ports on which mail comes in, each with its name, its number and the service's port. */}}
{{- define "alertbridge.ports" -}}
{{- $ingress := .Values.config.ingress | default dict }}
{{- if $ingress.webhook }}
{{- $port := include "alertbridge.port" (dict "key" "ingress.http.listen" "listen" (dig "http" "listen" "127.0.0.1:8025" $ingress)) }}
- { name: http, port: {{ $port }}, service: {{ get .Values.service.ports "http" | default $port }} }
{{- end }}
{{- range $place, $smtp := $ingress.smtp }}
{{- $key := printf "ingress.smtp[%d].listen" $place }}
{{- $port := include "alertbridge.port" (dict "key" $key "listen" (required (printf "config.%s is missing" $key) $smtp.listen)) }}
- { name: smtp-{{ $place }}, port: {{ $port }}, service: {{ get $.Values.service.ports (toString $smtp.name) | default $port }} }
{{- end }}
{{- end }}

{{- define "alertbridge.token" -}}
{{- $name := required "admin.tokenSecret.name: name the Secret that has the admin listener's token" .Values.admin.tokenSecret.name -}}
/etc/alertbridge/secrets/{{ $name }}/{{ .Values.admin.tokenSecret.key }}
{{- end }}

{{/* The content of alertbridge.yaml. */}}
{{- define "alertbridge.config" -}}
{{- range $key := list "ingress" "route" "receivers" }}
{{- $_ := required (printf "config.%s is missing: write alertbridge.yaml under config" $key) (get $.Values.config $key) }}
{{- end }}
{{- if hasKey .Values.config "admin" }}{{ fail "config.admin: set admin.port and admin.tokenSecret instead" }}{{ end }}
{{- if and (gt (int .Values.replicas) 1) (not (include "alertbridge.postgres" .)) }}
{{- fail "replicas: more than one need config.store.url: postgres://… or config.store.url_file; one process owns a SQLite file" }}
{{- end }}
{{- $service := printf "%s-admin" (include "alertbridge.name" .) }}
{{- $hosts := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) (printf "%s.%s.svc.cluster.local" $service .Release.Namespace) }}
{{- $admin := dict "listen" (printf "0.0.0.0:%d" (int .Values.admin.port)) "token_file" (include "alertbridge.token" .) "hosts" $hosts }}
{{- toYaml (merge (dict "admin" $admin) .Values.config) }}
{{- end }}

{{/* The restrictions of each pod: it runs as a user of its own, and has no account in the cluster. */}}
{{- define "alertbridge.confined" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "alertbridge.secrets" -}}
{{- append .Values.secrets .Values.admin.tokenSecret.name | uniq | toJson }}
{{- end }}

{{- define "alertbridge.mounts" -}}
- { name: config, mountPath: /etc/alertbridge/alertbridge.yaml, subPath: alertbridge.yaml, readOnly: true }
{{- range include "alertbridge.secrets" . | fromJsonArray }}
- { name: secret-{{ . }}, mountPath: /etc/alertbridge/secrets/{{ . }}, readOnly: true }
{{- end }}
{{- end }}

{{/* The volumes: the ConfigMap named `config`, and the Secrets. */}}
{{- define "alertbridge.volumes" -}}
- name: config
  configMap: { name: {{ .config }} }
{{- range include "alertbridge.secrets" .root | fromJsonArray }}
- name: secret-{{ . }}
  secret: { secretName: {{ . }}, defaultMode: 0440 }
{{- end }}
{{- end }}

{{- define "alertbridge.container" -}}
image: "{{ required "image.repository: where is the image? Build it with deploy/Dockerfile" .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end }}
