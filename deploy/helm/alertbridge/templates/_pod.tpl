{{/* The pod template that the StatefulSet and the Deployment share. */}}
{{- define "alertbridge.pod" -}}
metadata:
  labels:
    {{- include "alertbridge.selector" . | nindent 4 }}
  annotations:
    # Replaces the pods when the configuration changes.
    checksum/config: {{ include "alertbridge.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "alertbridge.confined" . | nindent 2 }}
  # A page that is being sent when the pod is stopped may take until its timeout.
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
      # The bridge answers once its store is open, and the migration of a large store takes a while.
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
    # All state is in the database.
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
