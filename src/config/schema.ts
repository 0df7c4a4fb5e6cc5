/**
 * The JSON schema of our own configuration; `config.schema.json` is this object, written out (tested equal). Every
 * option has a default, so that no configuration at all is a good one.
 */
const cron = (fallback: string, description: string) =>
  ({
    type: 'string',
    minLength: 9,
    maxLength: 200,
    default: fallback,
    description,
  }) as const

/** How a receiver of alerts is reached. */
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
    description: 'A file that holds the password of username; read at each request.',
  },
  tokenFile: {
    type: 'string',
    pattern: '^/',
    maxLength: 1000,
    description: 'A file that holds a bearer token; read at each request.',
  },
  caFile: {
    type: 'string',
    pattern: '^/',
    maxLength: 1000,
    description:
      'Certificates (PEM) of the authorities to trust, instead of the usual ones.',
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
        'Addresses to serve HTTP on: `host:port` (IPv6 in brackets), or `unix:/path` for a socket of its owner and group.',
    },
    logLevel: {
      type: 'string',
      enum: ['debug', 'info', 'warn', 'error', 'silent'],
      default: 'info',
      description: 'The least level that is logged.',
    },
    logFormat: {
      type: 'string',
      enum: ['auto', 'json', 'pretty'],
      default: 'auto',
      description:
        'Form of the lines in the log. auto: pretty on a terminal, JSON elsewhere, the journal included.',
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
        'When each probe runs: cron expressions of five fields, or six with seconds first.',
      properties: {
        login: cron('*/2 * * * *', 'A fresh SSH login with the trust question.'),
        system: cron('*/5 * * * *', 'Systems, features and settings of the remote Nix.'),
        disk: cron('*/30 * * * * *', 'Free space, over the kept connection.'),
        memory: cron('*/30 * * * * *', 'Memory and pressure, over the kept connection.'),
        canary: cron('*/30 * * * *', 'A real build on each builder.'),
        daemonCanary: cron(
          '17 4 * * *',
          'A real build through the local nix-daemon, where it trusts our user.',
        ),
        slots: cron(
          '*/15 * * * * *',
          'Slots of each builder that this machine holds, read from /proc/locks.',
        ),
        client: cron('*/5 * * * *', 'Whether this machine itself is fit to send builds.'),
      },
    },
    jitter: {
      type: 'number',
      minimum: 0,
      maximum: 0.5,
      default: 0.2,
      description:
        'Part of its interval by which each login and canary is shifted at random.',
    },
    concurrency: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'How much is done side by side.',
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
            'Prove each advertised feature by a build of its own; for kvm it opens /dev/kvm.',
        },
        mode: {
          type: 'string',
          enum: ['private', 'daemon'],
          default: 'private',
          description:
            'private: a store of our own, any user. daemon: through the local nix-daemon, needs trusted-users.',
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
            'A slot that is held for longer than this, and surely without a build, is called stuck.',
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
      description: 'Alerts that the daemon sends by itself, where no Prometheus does.',
      properties: {
        enable: {
          type: 'boolean',
          default: false,
          description: 'Evaluate the alerts; without a receiver they are only shown.',
        },
        labels: {
          type: 'object',
          maxProperties: 30,
          default: {},
          propertyNames: { pattern: '^[a-zA-Z_][a-zA-Z0-9_]*$', maxLength: 100 },
          additionalProperties: { type: 'string', minLength: 1, maxLength: 1000 },
          description:
            'Labels that every alert gets; its own win. `job` is builder-monitor.',
        },
        instance: {
          type: 'string',
          maxLength: 300,
          default: '',
          description:
            'The label instance; empty is the name of this machine with the port.',
        },
        externalUrl: {
          type: 'string',
          maxLength: 1000,
          default: '',
          description:
            'Where others read the status page, for links; empty is the address served.',
        },
        disabledAlerts: {
          type: 'array',
          items: { type: 'string', maxLength: 100 },
          maxItems: 100,
          default: [],
          description: 'Names of alerts that are not wanted.',
        },
        alertmanagers: {
          type: 'array',
          maxItems: 20,
          default: [],
          description: 'Alertmanagers to send to; of a cluster each one.',
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
                description:
                  'In metrics and log lines; host and port where there is none.',
              },
              ...access,
            },
          },
        },
        webhooks: {
          type: 'array',
          maxItems: 20,
          default: [],
          description: "Receivers of the payload of Alertmanager's webhooks, version 4.",
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['name'],
            properties: {
              name: { ...receiverName, description: 'In metrics and log lines.' },
              url: {
                type: 'string',
                maxLength: 1000,
                description: 'http or https; where it holds a secret use urlFile.',
              },
              urlFile: {
                type: 'string',
                pattern: '^/',
                maxLength: 1000,
                description: 'A file that holds the URL; read at each request.',
              },
              repeatHours: {
                type: 'number',
                exclusiveMinimum: 0,
                maximum: 8760,
                default: 4,
                description: 'Hours after which alerts that still fire are told again.',
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
      description: 'Exceptions for single builders, by name.',
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
              'asleep: the builder may sleep; not answering is no fault, and no connection is kept.',
          },
          drained: {
            type: 'boolean',
            default: false,
            description: 'Out of service on purpose: not probed, no alert.',
          },
          canary: {
            type: 'boolean',
            default: true,
            description: 'Send canary builds to it.',
          },
        },
      },
    },
  },
} as const
