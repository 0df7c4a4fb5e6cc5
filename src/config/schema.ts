/**
 * The JSON schema of the configuration; `config.schema.json` is a copy (tested equal). Every option has a default, so an
 * empty configuration is valid.
 */
const cron = (fallback: string, description: string) =>
  ({
    type: 'string',
    minLength: 9,
    maxLength: 200,
    default: fallback,
    description,
  }) as const

const access = {
  username: {
    type: 'string',
    minLength: 1,
    maxLength: 200,
    description: 'For basic authentication, with passwordFile.',
  },
  passwordFile: {
    type: 'string',
    pattern: '^/',
    maxLength: 1000,
    description: 'File with the password of username; read at each request.',
  },
  tokenFile: {
    type: 'string',
    pattern: '^/',
    maxLength: 1000,
    description: 'File with a bearer token; read at each request.',
  },
  caFile: {
    type: 'string',
    pattern: '^/',
    maxLength: 1000,
    description: 'CA certificates (PEM) to trust instead of the system ones.',
  },
} as const

const receiverName = {
  type: 'string',
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
  maxLength: 100,
} as const

export const configSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'builder-monitor/config.schema.json',
  title: 'Configuration of builder-monitor',
  type: 'object',
  additionalProperties: false,
  properties: {
    $schema: { type: 'string', description: 'For editors; not used.' },
    listen: {
      type: 'array',
      items: { type: 'string', minLength: 2, maxLength: 300 },
      minItems: 1,
      maxItems: 8,
      default: ['127.0.0.1:10922'],
      description:
        'Addresses to serve HTTP on: `host:port` (IPv6 in brackets), or `unix:/path` for a socket that its owner and group can use.',
    },
    allowedHosts: {
      type: 'array',
      items: { type: 'string', pattern: '^[A-Za-z0-9_.-]+$', maxLength: 255 },
      maxItems: 100,
      default: [],
      description:
        'Host names, in addition to those of this machine, under which it is reached over HTTP without TLS and passwords. Requests for other names get status 421 (protection against DNS rebinding).',
    },
    logLevel: {
      type: 'string',
      enum: ['debug', 'info', 'warn', 'error', 'silent'],
      default: 'info',
      description: 'Lowest level that is logged.',
    },
    logFormat: {
      type: 'string',
      enum: ['auto', 'json', 'pretty'],
      default: 'auto',
      description:
        'Log format. auto: pretty on a terminal, JSON elsewhere, including the journal.',
    },
    timeZone: {
      type: 'string',
      minLength: 1,
      maxLength: 60,
      default: 'UTC',
      description: 'IANA name of the time zone of the cron expressions.',
    },
    schedule: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description:
        'When each probe runs: cron expressions with five fields, or six with seconds first.',
      properties: {
        login: cron('*/2 * * * *', 'New SSH login, Nix handshake and trust check.'),
        system: cron('*/5 * * * *', 'Systems, features and settings of the remote Nix.'),
        disk: cron('*/30 * * * * *', 'Free space, over the kept connection.'),
        memory: cron(
          '*/30 * * * * *',
          'Memory and memory pressure, over the kept connection.',
        ),
        canary: cron('*/30 * * * *', 'A real build on each builder.'),
        daemonCanary: cron(
          '17 4 * * *',
          'A real build through the local nix-daemon, if it trusts our user.',
        ),
        slots: cron(
          '*/15 * * * * *',
          'Slots of each builder that this machine uses, from /proc/locks.',
        ),
        throughput: cron(
          '0 * * * *',
          'Round trip and rates of the link to each builder, 16 KiB to 1 MiB both ways, few on a slow line.',
        ),
        substituters: cron(
          '*/30 * * * *',
          "Whether the builder's substituters answer there, if builders-use-substitutes is set.",
        ),
        client: cron('*/5 * * * *', 'Check of this machine: whether it can send builds.'),
      },
    },
    jitter: {
      type: 'number',
      minimum: 0,
      maximum: 0.5,
      default: 0.2,
      description:
        'Fraction of the interval by which each login and canary is randomly delayed.',
    },
    concurrency: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Limits of parallel work.',
      properties: {
        logins: { type: 'integer', minimum: 1, maximum: 200, default: 10 },
        canaries: { type: 'integer', minimum: 1, maximum: 32, default: 4 },
      },
    },
    canary: {
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        enabled: { type: 'boolean', default: true, description: 'Send canary builds.' },
        features: {
          type: 'boolean',
          default: false,
          description:
            'Verify each advertised feature by its own build; the build for kvm opens /dev/kvm.',
        },
        mode: {
          type: 'string',
          enum: ['private', 'daemon'],
          default: 'private',
          description:
            'private: builds from a temporary store, works for any user. daemon: builds through the local nix-daemon, needs trusted-users.',
        },
      },
    },
    quarantine: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description:
        'Keeps builds away from builders that fail, by holding their slot locks; docs/quarantine.md.',
      properties: {
        enable: {
          type: 'boolean',
          default: false,
          description: 'Quarantine builders that fail.',
        },
        dryRun: {
          type: 'boolean',
          default: false,
          description: 'With enable: only report what would be quarantined.',
        },
        keepaliveSeconds: {
          type: 'integer',
          minimum: 1,
          maximum: 3600,
          default: 5,
          description:
            'With enable: interval of the keepalives of kept connections. Two without an answer request a login.',
        },
        abortHungConnects: {
          type: 'boolean',
          default: false,
          description:
            'With enable: the slot holder ends an ssh of a build hook that hangs for 5 s in its connect to a quarantined builder, so that Nix takes the next one.',
        },
        socket: {
          type: 'string',
          pattern: '^/',
          maxLength: 100,
          default: '/run/builder-monitor-slots/hold.sock',
          description: 'Where the slot holder (builder-monitor hold-slots) listens.',
        },
        machinesFile: {
          type: 'string',
          pattern: '^/',
          maxLength: 1000,
          description:
            'A file to write with the lines of all builders but the quarantined and drained ones, for programs without the build hook (buildMachinesFiles of Hydra). All builders while the monitor does not run.',
        },
      },
    },
    slots: {
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        stuckAfterHours: {
          type: 'number',
          exclusiveMinimum: 0,
          maximum: 8760,
          default: 24,
          description:
            'Hours after which a slot in use without a build is reported as stuck.',
        },
      },
    },
    throughput: {
      type: 'object',
      additionalProperties: false,
      default: {},
      properties: {
        minMiBPerSecond: {
          type: 'number',
          minimum: 0,
          maximum: 100_000,
          default: 1,
          description:
            'A builder whose link is slower, or slower than a tenth of its usual rate, is degraded. 0: the rates are not measured.',
        },
      },
    },
    keepConnections: {
      type: 'boolean',
      default: true,
      description:
        'Keep one connection to each builder for telemetry (about 2.4 MB on the builder).',
    },
    alerting: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'Built-in alerting, for installations without Prometheus.',
      properties: {
        enable: {
          type: 'boolean',
          default: false,
          description:
            'Evaluate the alerts. Without a receiver they are only shown on the page.',
        },
        labels: {
          type: 'object',
          maxProperties: 30,
          default: {},
          propertyNames: { pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$', maxLength: 100 },
          additionalProperties: { type: 'string', minLength: 1, maxLength: 1000 },
          description:
            'Labels added to every alert; labels of the alert itself take precedence. `job` is builder-monitor.',
        },
        instance: {
          type: 'string',
          maxLength: 300,
          default: '',
          description:
            'The label instance; empty means the name of this machine with the port.',
        },
        externalUrl: {
          type: 'string',
          maxLength: 1000,
          default: '',
          description:
            'URL of the status page for links in alerts; empty means the served address.',
        },
        disabledAlerts: {
          type: 'array',
          items: { type: 'string', maxLength: 100 },
          maxItems: 100,
          default: [],
          description: 'Names of alerts to turn off.',
        },
        alertmanagers: {
          type: 'array',
          maxItems: 20,
          default: [],
          description: 'Alertmanagers to send to; list every member of a cluster.',
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['url'],
            properties: {
              url: {
                type: 'string',
                maxLength: 1000,
                description: 'http or https, with the path prefix if there is one.',
              },
              name: {
                ...receiverName,
                description: 'Name in metrics and log lines; default: host and port.',
              },
              ...access,
            },
          },
        },
        webhooks: {
          type: 'array',
          maxItems: 20,
          default: [],
          description: "Receivers of Alertmanager's webhook payload, version 4.",
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['name'],
            properties: {
              name: { ...receiverName, description: 'Name in metrics and log lines.' },
              url: {
                type: 'string',
                maxLength: 1000,
                description: 'http or https; use urlFile if it contains a secret.',
              },
              urlFile: {
                type: 'string',
                pattern: '^/',
                maxLength: 1000,
                description: 'File with the URL; read at each request.',
              },
              repeatHours: {
                type: 'number',
                exclusiveMinimum: 0,
                maximum: 8760,
                default: 4,
                description: 'Hours after which alerts that still fire are sent again.',
              },
              ...access,
            },
          },
        },
      },
    },
    builders: {
      type: 'object',
      default: {},
      description: 'Settings for single builders, by name.',
      maxProperties: 2000,
      additionalProperties: {
        type: 'object',
        additionalProperties: false,
        properties: {
          expect: {
            type: 'string',
            enum: ['awake', 'asleep'],
            default: 'awake',
            description:
              'asleep: the builder can sleep; not answering is not an error, and no connection is kept.',
          },
          drained: {
            type: 'boolean',
            default: false,
            description:
              'Out of service on purpose: not probed, no alerts, and no builds if the slot holder runs.',
          },
          canary: {
            type: 'boolean',
            default: true,
            description: 'Send canary builds to this builder.',
          },
          metered: {
            type: 'boolean',
            default: false,
            description: 'The link costs money by volume: its rates are not measured.',
          },
          minMiBPerSecond: {
            type: 'number',
            minimum: 0,
            maximum: 100_000,
            description: 'Replaces throughput.minMiBPerSecond for this builder.',
          },
        },
      },
    },
  },
} as const
