{{/* What a StatefulSet and a Deployment have in common. */}}
{{- define "alertbridge.pod" -}}
metadata:
  labels:
    {{- include "alertbridge.selector" . | nindent 4 }}
  annotations:
    # A new configuration is a new pod.
    checksum/config: {{ include "alertbridge.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "alertbridge.confined" . | nindent 2 }}
  # What it is told to finish first takes a page's time-out.
  terminationGracePeriodSeconds: 75
  containers:
    - name: alertbridge
      args: [serve, --config, /etc/alertbridge/alertbridge.yaml]
      {{- include "alertbridge.container" . | nindent 6 }}
      ports:
        {{- range include "alertbridge.ports" . | fromYamlArray }}
        - { name: {{ .name }}, containerPort: {{ .port }} }
        {{- end }}
        - { name: admin, containerPort: {{ .Values.admin.port }} }
      # It answers once the store is opened: bringing a large one up to date takes its time.
      startupProbe:
        httpGet: { path: /-/healthy, port: admin }
        periodSeconds: 2
        failureThreshold: 900
      livenessProbe:
        httpGet: { path: /-/healthy, port: admin }
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /-/ready, port: admin }
        periodSeconds: 5
        timeoutSeconds: 6
      volumeMounts:
        {{- include "alertbridge.mounts" . | nindent 8 }}
        - { name: data, mountPath: /var/lib/alertbridge }
  volumes:
    {{- include "alertbridge.volumes" (dict "root" . "config" (include "alertbridge.name" .)) | nindent 4 }}
    {{- if include "alertbridge.postgres" . }}
    # Everything is in the database.
    - name: data
      emptyDir: {}
    {{- end }}
  {{- if gt (int .Values.replicas) 1 }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "alertbridge.selector" . | nindent 10 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
